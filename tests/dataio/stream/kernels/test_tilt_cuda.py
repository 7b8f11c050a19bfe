"""The tilting kernels without a GPU: in numba's simulator against the CPU's, and compiled for one."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba.cuda")

from numba.cuda import types

from dataio.stream.kernels import tilt_cuda
from tests.dataio.stream.kernels.hopper import built

SIMULATED = """
import numpy as np
import tests.dataio.stream.kernels.simulator
from numba import cuda
from dataio.stream.kernels import rotate, rotate_cuda, tilt, tilt_cuda, tilt_maps
rng, there = np.random.default_rng(0), cuda.to_device
for stored, size, kind in [((8, 16), (8, 16), np.float32), ((12, 24), (5, 10), np.float16), ((5, 7), (6, 9), np.float32)]:
    turns = [tilt.Turn(3, True, 50.0, -20.0), tilt.Turn(0, False, 0.0, 0.0), tilt.Turn(size[1] - 1, False, -90.0, 10.0)]
    frames, labels = rng.integers(0, 256, (3, 2, *stored, 3), np.uint8), rng.integers(0, 256, (3, *stored), np.uint8)
    flow, valid = rng.normal(0, 2, (3, *stored, 2)).astype(np.float32), rng.random((3, *stored)) < 0.6
    flow[~valid] = np.nan
    plan = rotate.plan(stored, size)
    wanted = np.empty((3, 3, 2, *size), np.float32), np.empty((3, 1, *size), np.uint8), np.empty((3, 2, *size), np.float32)
    for i, turn in enumerate(turns):
        for f in range(2):
            tilt.rotate_one(frames[i, f], f, tilt.places(stored, size, turn), plan, wanted[0][i])
        tilt_maps.turn_labels(labels[i], turn, wanted[1][i, 0])
        tilt_maps.turn_flow(flow[i], valid[i], turn, wanted[2][i])
    shift, mirror = there(np.array([t.shift for t in turns])), there(np.array([int(t.mirror) for t in turns]))
    stands = shift, mirror, there(tilt.matrices(turns))
    out = [there(np.full_like(wanted[0], np.nan, kind)), there(np.full_like(wanted[1], 7)), there(np.full_like(wanted[2], np.nan))]
    tables = rotate_cuda.Tables(plan)
    tilt_cuda.rotate(there(frames), *stands, tables, out[0])
    tilt_cuda.turn_labels(there(labels), *stands, size, out[1])
    tilt_cuda.turn_flow(there(flow), there(valid.astype(np.uint8)), *stands, tables, out[2])
    found = [array.copy_to_host() for array in out]
    assert np.abs(found[0] - wanted[0]).max() < (1e-4 if kind == np.float32 else 3e-3), (stored, size)
    assert np.array_equal(found[1], wanted[1]), (stored, size)
    assert np.abs(found[2] - wanted[2]).max() < 1e-5, (stored, size)
try:
    tilt_cuda.rotate(there(frames), shift, mirror, there(np.zeros((3, 3, 3))), tables, out[0])
except ValueError as error:
    assert "expected float64 (3, 9)" in str(error)
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


i4, i8, f4, f8, byte = types.int32, types.int64, types.float32, types.float64, types.uint8
STANDS = i8[::1], i8[::1], f8[::1]


@pytest.mark.parametrize("out", [types.float16, types.float32], ids=str)
def test_the_kernel_of_frames_compiles_for_a_gpu(out: types.Type, tmp_path, monkeypatch) -> None:
    signature = types.void(byte[::1], *[i4] * 5, *STANDS, f4[::1], f4[::1], i4, i4, out[::1])
    found = built(tilt_cuda.frames_kernel, signature, tmp_path, monkeypatch)
    assert found.spills in (None, 0) and (found.registers is None or found.registers <= 128), found


def test_the_kernels_of_maps_compile_for_a_gpu(tmp_path, monkeypatch) -> None:
    labels = types.void(byte[::1], i4, i4, *STANDS, i4, i4, byte[::1])
    flow = types.void(f4[::1], byte[::1], i4, i4, *STANDS, i4, i4, f4[::1])
    for kernel, signature in ((tilt_cuda.labels_kernel, labels), (tilt_cuda.flow_kernel, flow)):
        found = built(kernel, signature, tmp_path, monkeypatch)
        assert found.spills in (None, 0) and (found.registers is None or found.registers <= 128), found
