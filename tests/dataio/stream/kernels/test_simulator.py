"""The simulator that the kernels' tests trust notices what would be wrong on a device."""

import subprocess
import sys

import pytest

pytest.importorskip("numba.cuda")

KERNELS = """
import numpy as np
import tests.dataio.stream.kernels.simulator
from numba import cuda
from numba.core import types

@cuda.jit
def turned(x, out, early, late):
    "Each thread takes what the other end of its block has put there, twice."
    a = cuda.shared.array(64, np.float32)
    b = cuda.shared.array(64, np.float32)
    i = cuda.threadIdx.x
    at = cuda.blockIdx.x * 64
    a[i] = x[at + i]
    b[i] = 2 * x[at + i]
    if early:
        cuda.syncthreads()
    sum = a[63 - i] + b[63 - i]
    if late:
        cuda.syncthreads()
    a[i] = -sum
    cuda.syncthreads()
    out[at + i] = -a[63 - i]

@cuda.jit
def dynamic(out):
    a = cuda.shared.array(0, types.float32)
    out[cuda.blockIdx.x * 64 + cuda.threadIdx.x] = a[cuda.threadIdx.x]
    a[cuda.threadIdx.x] = 1

@cuda.jit
def broken(out):
    if cuda.threadIdx.x == 5:
        raise ZeroDivisionError("five")
    cuda.syncthreads()

x, out = np.arange(256, dtype=np.float32), np.zeros(256, np.float32)

def run(early, late):
    turned[4, 64](x, out, early, late)
    return np.array_equal(out, 3 * x)

dynamic[4, 64, 0, 256](read := np.zeros(256, np.float32))
try:
    broken[1, 64](x)
except ZeroDivisionError as error:
    told = f"{error} {error.__notes__}"
print([run(True, True), run(False, True), run(True, False)], run(True, True), np.isnan(read).all(), told)
"""


def test_missing_barriers_old_memory_and_errors_show(monkeypatch) -> None:
    """Two arrays in one kernel are two; a block finds nothing of the last one; after an error the next launch is as ever."""
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    done = subprocess.run([sys.executable, "-W", "error", "-c", KERNELS], capture_output=True, text=True)
    assert done.stdout.strip() == "[True, False, False] True True five ['in block (0, 0, 0), thread (5, 0, 0)']", done.stderr


def test_threads_that_wait_for_each_other_in_two_places_are_an_error(monkeypatch) -> None:
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    script = """
import numpy as np
import tests.dataio.stream.kernels.simulator as simulator
from numba import cuda
two = simulator._Few(2)

@cuda.jit
def parted(x):
    if cuda.threadIdx.x == 0:
        two.wait(60)
    cuda.syncthreads()

try:
    parted[1, 2](np.zeros(1))
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "block (0, 0, 0): threads wait for each other, some at a barrier and some elsewhere", done.stderr
