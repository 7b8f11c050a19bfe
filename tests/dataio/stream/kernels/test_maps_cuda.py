"""The kernels of labels and flow without a GPU: in numba's simulator against the CPU's, and compiled for one."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba.cuda")

from numba.cuda import types

from dataio.stream.kernels import maps_cuda
from tests.dataio.stream.kernels.hopper import built

SIMULATED = """
import numpy as np
import tests.dataio.stream.kernels.simulator
from numba import cuda
from dataio.stream.kernels import maps, maps_cuda, rotate, rotate_cuda
rng, there = np.random.default_rng(0), cuda.to_device
SIZES = [((6, 12), (6, 12)), ((5, 7), (5, 7)), ((6, 16), (3, 8)), ((4, 8), (5, 13)), ((12, 24), (11, 21)), ((9, 40), (2, 5))]
for stored, size in SIZES:
    shift, mirror = np.array([0, 1, size[1] - 1]), np.array([0, 1, 1])
    labels = rng.integers(0, 256, (3, *stored), np.uint8)
    flow, valid = rng.normal(0, 5, (3, *stored, 2)).astype(np.float32), rng.random((3, *stored)) < 0.6
    flow[~valid] = np.nan  # what is not known may be anything
    valid[2, :, : stored[1] // 2] = False
    wanted, vectors = np.empty((3, 1, *size), np.uint8), np.empty((3, 2, *size), np.float32)
    for i in range(3):
        maps.turn_labels(labels[i], int(shift[i]), bool(mirror[i]), wanted[i, 0])
        maps.turn_flow(flow[i], valid[i], int(shift[i]), bool(mirror[i]), vectors[i])
    out, moved = there(np.full_like(wanted, 7)), there(np.full_like(vectors, np.nan))
    turns = there(shift), there(mirror)
    maps_cuda.turn_labels(there(labels), *turns, size, out)
    tables = rotate_cuda.Tables(rotate.plan(stored, size))
    maps_cuda.turn_flow(there(flow), there(valid.astype(np.uint8)), *turns, tables, moved)
    assert np.array_equal(out.copy_to_host(), wanted), (stored, size)
    assert np.abs(moved.copy_to_host() - vectors).max() < 1e-5, (stored, size)
all_labels = there(labels)
for arguments in [
    (there(labels[0]), *turns, size, out), (all_labels, *turns, (2, 4), out), (all_labels, there(shift[:2]), turns[1], size, out)
]:
    try:
        maps_cuda.turn_labels(*arguments)
    except ValueError as error:
        assert "expected" in str(error)
        continue
    raise AssertionError("wrong shapes were taken")
print("agreed")
"""


def test_kernels_in_the_simulator() -> None:
    """In a process of its own, because numba takes the simulator or the driver once, at import."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SIMULATED],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "agreed", done.stderr


def test_kernels_compile_for_a_gpu(tmp_path, monkeypatch) -> None:
    i8, u4, f4, byte = types.int64, types.uint32, types.float32, types.uint8
    table = (i8[::1], f4[::1])
    labels = types.void(byte[::1], u4, u4, i8[::1], i8[::1], u4, u4, byte[::1])
    flow = types.void(f4[::1], byte[::1], u4, u4, i8[::1], i8[::1], *table, *table, u4, u4, f4[::1])
    for kernel, signature in ((maps_cuda.labels_kernel, labels), (maps_cuda.flow_kernel, flow)):
        found = built(kernel, signature, tmp_path, monkeypatch)
        assert found.spills in (None, 0) and (found.registers is None or found.registers <= 64), found
