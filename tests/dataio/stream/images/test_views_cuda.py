"""The CUDA kernels in numba's simulator against those of the CPU."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba.cuda")

from numba.cuda import types

from dataio.stream.images import views_cuda
from dataio.stream.images.blur import kernel
from dataio.stream.images.views_cuda import tables
from tests.dataio.stream.kernels.hopper import built

SIMULATED = """
import numpy as np
import tests.dataio.stream.kernels.simulator
from numba import cuda
from dataio.stream.images import views_cuda
from dataio.stream.images.blur import blur, kernel
from dataio.stream.images.colour import colour
views_cuda.THREADS = 32
rng = np.random.default_rng(0)
B, S = 6, 12
pictures = rng.integers(0, 256, (B, S, S, 3), np.uint8)
order = np.array([rng.permutation(4) for _ in range(B)])
factors = rng.uniform((0.6, 0.6, 0.6, -0.1), (1.4, 1.4, 1.4, 0.1), (B, 4)).astype(np.float32)
factors[1] = 1, 1, 1, 0
factors[2, 1] = 1
grey, flip = np.array([0, 0, 1, 0, 1, 0], bool), np.array([0, 1, 0, 1, 1, 0], bool)
gain, bias = np.array([0.5, 1, 2], np.float32), np.array([3, 2, 1], np.float32)
for sigma in (np.array([0, 0.1, 0, 1.3, 2.0, 0.8]), np.zeros(B)):
    expected = np.empty((B, 3, S, S), np.float32)
    for b in range(B):
        colour(pictures[b], order[b], factors[b], bool(grey[b]), bool(flip[b]), gain, bias, expected[b])
        if sigma[b]:
            blur(expected[b], kernel(sigma[b]), np.empty((S, S), np.float32))
    there = cuda.to_device
    blurs = {name: there(values) for name, values in views_cuda.tables(sigma).items()}
    count = np.count_nonzero(sigma)
    work = [there(np.full((max(count, 1), 3, S, S), np.nan, np.float32)) for _ in range(2)]
    out = there(np.full_like(expected, np.nan))
    numbers = [there(x) for x in (order, factors, grey, flip, np.stack([gain, bias]), views_cuda.tables(sigma)["slot"])]
    both = there(np.stack([np.zeros_like(pictures), pictures], 1))
    views_cuda.colour(both, 1, *numbers, work[0], out)
    if count:
        views_cuda.blur(work[0], blurs["where"], blurs["weights"], blurs["radius"], work[1], out)
    assert np.abs(out.copy_to_host() - expected).max() < 2e-3, sigma
print("agreed")
"""


def test_kernels_in_the_simulator():
    """In a process of its own, because numba takes the simulator or the driver once, at import."""
    done = subprocess.run(
        [sys.executable, "-c", SIMULATED], env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "agreed", done.stderr


def test_tables_of_a_batch():
    found = tables(np.array([0, 1.0, 0, 0.3]))
    assert found["slot"].tolist() == [-1, 0, -1, 1] and found["where"].tolist() == [1, 3] and found["radius"].tolist() == [4, 2]
    assert (
        found["weights"].shape == (2, 5)
        and np.array_equal(found["weights"][1, :3], kernel(0.3))
        and not found["weights"][1, 3:].any()
    )
    nothing = tables(np.zeros(3))
    assert nothing["slot"].tolist() == [-1, -1, -1] and nothing["weights"].shape == (0, 1)


@pytest.mark.parametrize("out", [types.float16, types.float32], ids=str)
def test_kernels_compile_for_a_gpu(out, tmp_path, monkeypatch):
    """Nothing spills."""
    f4, i8, flags, u1 = types.float32, types.int64, types.boolean, types.uint8
    planes, numbers = f4[:, :, :, ::1], (f4[:, ::1], i8[::1])
    one = (i8[:, ::1], f4[:, ::1], flags[::1], flags[::1], f4[:, ::1], i8[::1])
    for function, signature in (
        (views_cuda.colour_kernel, types.void(types.Array(u1, 5, "C"), i8, *one, planes, out[:, :, :, ::1])),
        (views_cuda.across_kernel, types.void(planes, *numbers, planes)),
        (views_cuda.down_kernel, types.void(planes, *numbers, i8[::1], out[:, :, :, ::1])),
    ):
        assert built(function, signature, tmp_path, monkeypatch).spills in (None, 0)
