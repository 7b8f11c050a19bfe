"""The turning kernels without a GPU: in numba's simulator against the CPU's, and compiled for one."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba.cuda")

from numba.cuda import types

from dataio.stream.kernels import rotate_cuda
from dataio.stream.kernels.rotate_cuda import geometry
from tests.dataio.stream.kernels.hopper import built

SIMULATED = """
import numpy as np
import tests.dataio.stream.kernels.simulator
from numba import cuda
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray  # keeps the memory where it is, beside a word or not
from dataio.stream.kernels import rotate, rotate_cuda
rng = np.random.default_rng(0)

def run(stored, size, kind, shift, mirror, band=3, cut=0, expected_kernel=None):
    clips = len(shift)
    room = rng.integers(0, 256, (clips * 2 * stored[0] * stored[1] * 3 + cut), np.uint8)
    frames = room[cut:].reshape(clips, 2, *stored, 3)
    shift, mirror = np.array(shift), np.array(mirror)
    plan = rotate.plan(stored, size)
    expected = np.empty((clips, 3, 2, *size), np.float32)
    for i in range(clips):
        rotate.rotate(frames[i], int(shift[i]), bool(mirror[i]), plan, expected[i])
    tables = rotate_cuda.Tables(plan, band=band)
    assert frames.ctypes.data % 8 == cut
    kernel = "turn" if tables.equal and not cut % 4 else "resize" if tables.strips and not cut % 8 else "anything"
    assert kernel == expected_kernel, (stored, size, kernel)
    out = cuda.to_device(np.full(expected.shape, np.nan, kind))
    rotate_cuda.rotate(FakeCUDAArray(frames), cuda.to_device(shift), cuda.to_device(mirror), tables, out)
    tolerance = 1e-5 if kind == np.float32 else 2e-3
    assert np.abs(out.copy_to_host() - expected).max() < tolerance, (stored, size, kind, kernel)

f4, f2 = np.float32, np.float16
CASES = {
    "turn": [  # wrap inside a run of four, shifts that leave the words' borders, rows that are not fours
        lambda: run((5, 12), (5, 12), f4, range(12), [0] * 12, expected_kernel="turn"),
        lambda: run((5, 12), (5, 12), f2, range(12), [1] * 12, expected_kernel="turn"),
        lambda: run((1, 4), (1, 4), f4, [0, 1, 2, 3], [0, 1, 0, 1], expected_kernel="turn"),
        lambda: run((3, 1028), (3, 1028), f2, [1027], [1], expected_kernel="turn"),
        lambda: run((4, 8), (4, 8), f4, [3, 8, 17], [0, 0, 1], expected_kernel="turn"),
    ],
    "resize": [  # down, up, each axis alone, the same rows, several strips and bands, taps round the seam, a band of one row
        lambda: run((6, 16), (3, 8), f4, [0, 1, 7], [0, 1, 1], expected_kernel="resize"),
        lambda: run((12, 24), (11, 21), f2, [20, 5], [0, 1], expected_kernel="resize"),
        lambda: run((4, 8), (9, 37), f4, [36, 2], [1, 0], band=4, expected_kernel="resize"),
        lambda: run((20, 40), (20, 10), f4, [9], [1], band=7, expected_kernel="resize"),
        lambda: run((20, 40), (6, 40), f4, [1], [0], band=1, expected_kernel="resize"),
        lambda: run((3, 720), (2, 360), f4, [359], [1], band=8, expected_kernel="resize"),
        lambda: run((30, 8), (1, 1), f4, [0], [0], expected_kernel="resize"),
    ],
    "anything": [  # rows that are no whole number of words, memory that begins beside one
        lambda: run((5, 7), (5, 7), f4, range(7), [0, 1] * 3 + [1], expected_kernel="anything"),
        lambda: run((6, 9), (4, 13), f2, [12, 1], [1, 0], expected_kernel="anything"),
        lambda: run((3, 8), (3, 8), f4, [3], [0], cut=1, expected_kernel="anything"),
        lambda: run((4, 8), (2, 4), f4, [3], [1], cut=3, expected_kernel="anything"),
        lambda: run((2, 800), (2, 1), f4, [0], [0], expected_kernel="anything"),
    ],
}
import sys
for case in CASES[sys.argv[1]]:
    case()
print("agreed")
"""


@pytest.mark.parametrize("kernel", ["turn", "resize", "anything"])
def test_kernels_in_the_simulator(kernel: str) -> None:
    """In a process of its own, because numba takes the simulator or the driver once, at import. Indices are unsigned: one that is
    negative is far beyond the array, and an error.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SIMULATED, kernel],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "agreed", done.stderr


i4, i8, u4, u8, f4 = types.int32, types.int64, types.uint32, types.uint64, types.float32


def _signature(kernel: str, out: types.Type) -> types.Type:
    turns, levels = (i8[::1], i8[::1]), (f4[::1], f4[::1])
    return {
        "turn": types.void(u4[::1], u4, u4, *turns, *levels, out[::1]),
        "resize": types.void(u8[::1], *turns, i4[::1], i4[::1], f4[::1], i4[::1], u8[::1], *[u4] * 8, *levels, out[::1]),
        "anything": types.void(types.uint8[::1], i4, i4, *turns, i8[::1], f4[::1], i8[::1], f4[::1], *levels, out[::1], i4),
    }[kernel]


@pytest.mark.parametrize("out", [types.float16, types.float32], ids=str)
@pytest.mark.parametrize("kernel", ["turn", "resize", "anything"])
def test_kernels_compile_for_a_gpu(kernel: str, out: types.Type, tmp_path, monkeypatch) -> None:
    """Nothing spills, registers leave room for 1024 threads of the one that needs many, and memory is moved in wide pieces."""
    found = built(getattr(rotate_cuda, kernel), _signature(kernel, out), tmp_path, monkeypatch)
    assert found.spills in (None, 0) and (found.registers is None or found.registers <= 64), found
    if kernel == "turn":
        assert ("st.global.v4.b16" if out is types.float16 else "st.global.v4.f32") in found.ptx
    if kernel == "resize":
        assert "st.shared.v4.f32" in found.ptx and "ld.global.u64" in found.ptx


@pytest.mark.parametrize(("clips", "frames"), [(1, 1), (256, 8), (512, 60), (65_535, 65_535)])
def test_batches_fit_a_launch(clips: int, frames: int) -> None:
    assert geometry(clips, frames, 128) == (128, frames, clips)


def test_what_does_not_fit_a_launch_is_named() -> None:
    for clips, frames in ((65_536, 1), (1, 65_536)):
        with pytest.raises(ValueError, match="do not fit one launch"):
            geometry(clips, frames, 1)


WRONG = """
import numpy as np
from numba import cuda
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
from dataio.stream.kernels import rotate, rotate_cuda
tables = rotate_cuda.Tables(rotate.plan((4, 8), (4, 8)))
good = {"frames": np.zeros((2, 1, 4, 8, 3), np.uint8), "shift": np.zeros(2, np.int64), "mirror": np.zeros(2, np.int64)}
good["out"] = np.zeros((2, 3, 1, 4, 8), np.float32)
for name, wrong in [
    ("frames", good["frames"].astype(np.float32)), ("frames", good["frames"][:, :, :2]),
    ("frames", np.zeros((2, 1, 3, 8, 4), np.uint8)),
    ("shift", np.zeros(2, np.int32)), ("mirror", np.zeros(3, np.int64)), ("out", np.zeros((2, 3, 1, 4, 8))),
    ("out", np.zeros((2, 1, 3, 4, 8), np.float32)), ("out", np.zeros((2, 3, 1, 8, 4), np.float32).swapaxes(3, 4)),
]:
    given = {key: cuda.to_device(value) for key, value in good.items()} | {name: FakeCUDAArray(wrong)}
    try:
        rotate_cuda.rotate(given["frames"], given["shift"], given["mirror"], tables, given["out"])
    except ValueError as error:
        assert str(error).startswith(name), error
        continue
    raise AssertionError(f"{name} {wrong.dtype} {wrong.shape} was taken")
empty = [cuda.to_device(np.zeros(shape, kind)) for shape, kind in [((0, 1, 4, 8, 3), np.uint8), (0, np.int64), (0, np.int64)]]
rotate_cuda.rotate(*empty, tables, cuda.to_device(np.zeros((0, 3, 1, 4, 8), np.float32)))
print("agreed")
"""


def test_wrong_shapes_are_named_and_an_empty_batch_is_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRONG], env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "agreed", done.stderr


def test_the_grid_of_a_launch_covers_every_row_of_every_size() -> None:
    """4K to a thumbnail: block numbers stay within CUDA's 2³¹ − 1 for the first dimension."""
    for height, width in ((2160, 3840), (256, 512), (1, 4)):
        runs = -(-height // rotate_cuda.ROWS) * (width // rotate_cuda.PIXELS)
        blocks = -(-runs // rotate_cuda.THREADS)
        assert blocks * rotate_cuda.THREADS * rotate_cuda.ROWS * rotate_cuda.PIXELS >= np.prod((height, width)) and blocks < 2**31
