"""The same turn on the GPU: yaw, mirror, resize and normalisation in one pass, one launch a batch, the tables of `rotate.plan`.

Written for the GPU, compiled for compute capability 9.0 and checked in numba's CUDA simulator, not yet run on a device. Three
kernels, whose instructions are counted in the assembly for 9.0; an H200 (132 multiprocessors, 128 lanes, 1.75 GHz) issues 60 for a
pixel of 9 bytes (three in, float16 out) in the time in which it copies them at 4.5 TB/s.

- Equal sizes (rotate_cuda_turn): a thread takes four neighbouring pixels, in four rows: three words of four bytes, or four where
  the shift leaves the words' borders, and one store of 8 (float16) or 16 bytes (float32) a channel. A warp reads 384 contiguous
  bytes of a row and writes three times 256 or 512. About 35 instructions a pixel, so memory is what it waits for.
- Resizing (rotate_cuda_resize): a block goes down a band of rows of a strip, as `rotate_strips` plans. Each byte is loaded and
  unpacked once, not once a tap; the mixed rows go to shared memory, where pixels lie three floats apart and so in different banks,
  and are mixed there by columns, four rows with one look at a weight. About 110 instructions an output pixel from 512x256 to
  448x224, where the copy leaves time for 70, and about 480 from 1920x960 to 512x256, where it leaves 340: arithmetic is the limit.
- Anything else (below): one pixel a thread and every tap a load. Rows that are no whole number of words, memory that does not begin
  at one, tables too large for a block: rare, right, and slow.
"""

# mypy: no-check-untyped-defs
# inside a kernel, names mean what numba makes of them

from typing import Any

import numpy as np
from numba import cuda

from dataio.stream.kernels.device_arrays import Flat, flat, queue
from dataio.stream.kernels.rotate import Resize
from dataio.stream.kernels.rotate_cuda_resize import resize
from dataio.stream.kernels.rotate_cuda_turn import PIXELS, ROWS, turn
from dataio.stream.kernels.rotate_strips import WORD, strips

THREADS = 256  # a block of the kernels that need no shared memory
MOST = 65_535  # blocks along the second and third dimension of a grid


@cuda.jit
def anything(
    frames, stored_height, stored_width, shift, mirror, rows, row_weights, columns, column_weights, gain, bias, out, height
):
    """One pixel of the output a thread. frames flat uint8, out flat. Grid: x over pixels of a frame, y frames, z clips."""
    clip, f, count = cuda.blockIdx.z, cuda.blockIdx.y, cuda.gridDim.y
    width = columns.shape[0]
    pixel = np.int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    if pixel >= height * width:
        return
    y = pixel // width
    x = pixel - y * width
    source = np.int32((x + shift[clip]) % width)
    first_row, first_column = rows[y], columns[source]
    row_taps, column_taps = row_weights.size // height, column_weights.size // width
    r, g, b = np.float32(0), np.float32(0), np.float32(0)
    frame = np.int64(clip * count + f) * stored_height
    for j in range(row_taps):
        line = (frame + first_row + j) * stored_width
        vertical = row_weights[y * row_taps + j]
        for i in range(column_taps):
            at = 3 * (line + (first_column + i) % stored_width)
            weight = vertical * column_weights[source * column_taps + i]
            r += weight * np.float32(frames[at])
            g += weight * np.float32(frames[at + 1])
            b += weight * np.float32(frames[at + 2])
    to = y * width + (width - 1 - x if mirror[clip] else x)
    plane = np.int64(count) * height * width
    at = 3 * clip * plane + np.int64(f) * height * width + to
    out[at] = r * gain[0] + bias[0]
    out[at + plane] = g * gain[1] + bias[1]
    out[at + 2 * plane] = b * gain[2] + bias[2]


class Tables:
    """A `Resize` on the device, moved there once.

    Args:
        band: output rows that a block of the resizing kernel makes. fast: False to have the kernel that serves every case.
    """

    def __init__(self, resize: Resize, *, band: int = 32, fast: bool = True) -> None:
        self.resize = resize
        self.equal = fast and resize.stored == resize.size and resize.size[1] % PIXELS == 0
        self.strips = strips(resize, band) if fast and not self.equal else None
        self.levels = [cuda.to_device(resize.gain), cuda.to_device(resize.bias)]
        self.neighbours = [cuda.to_device(table) for table in resize.neighbours]
        if self.strips is not None:
            plan, steps = self.strips, self.strips.steps
            row_words = 3 * resize.stored[1] // WORD
            tables = (plan.first, plan.start, plan.weights.reshape(-1), steps.at, steps.packed(row_words))
            self.stripped = [cuda.to_device(table) for table in tables]


def geometry(clips: int, frames: int, blocks: int) -> tuple[int, int, int]:
    """The grid of a launch whose frames take so many blocks each.

    Raises:
        ValueError: more frames or clips than CUDA takes in the second and third dimension of a grid.
    """
    if frames > MOST or clips > MOST:
        raise ValueError(f"{clips} clips of {frames} frames do not fit one launch: at most {MOST} clips, of at most {MOST} frames")
    return blocks, frames, clips


def rotate(frames: Any, shift: Any, mirror: Any, tables: Tables, out: Any, stream: int = 0) -> None:
    """Write a batch of frames as it is wanted, asynchronously on `stream`, a raw handle.

    Args:
        frames: (B, F, H, W, 3) uint8 on the device, contiguous.
        shift: (B,) int64 on the device: output column x shows column (x + shift) mod width of the resized picture.
        mirror: (B,) int64 on the device: exchange left and right afterwards.
        out: (B, 3, F, height, width) float32 or float16 on the device, contiguous, filled. All: anything with
            `__cuda_array_interface__`.

    Raises:
        ValueError: a shape, dtype or layout is wrong, or the batch is too large for one launch; the message says which.
    """
    source, target, turns = checked(frames, shift, mirror, tables, out)
    clips, count = source.shape[:2]
    plan, (height, width) = tables.resize, tables.resize.size
    if not clips * count:
        return
    if tables.equal and source.aligned(4) and target.aligned(PIXELS * target.dtype.itemsize):
        grid = geometry(clips, count, -(-(-(-height // ROWS) * (width // PIXELS)) // THREADS))
        turn[grid, THREADS, queue(stream)](
            source.words(np.uint32), np.uint32(height), np.uint32(width), *turns, *tables.levels, target.words()
        )
    elif (cut := tables.strips) is not None and source.aligned(WORD):
        grid = geometry(clips, count, cut.count * -(-height // cut.band))
        sizes = [np.uint32(n) for n in (*plan.stored, height, width, cut.columns, cut.band, cut.words, cut.steps.carry)]
        resize[grid, cut.threads, queue(stream), cut.shared](
            source.words(np.uint64), *turns, *tables.stripped, *sizes, *tables.levels, target.words()
        )
    else:
        grid = geometry(clips, count, -(-height * width // THREADS))
        stored = [np.int32(n) for n in plan.stored]
        anything[grid, THREADS, queue(stream)](
            source.words(), *stored, *turns, *tables.neighbours, *tables.levels, target.words(), np.int32(height)
        )


def checked(frames: Any, shift: Any, mirror: Any, tables: Tables, out: Any) -> tuple[Flat, Flat, list[Any]]:
    """The frames, the output, and shift and mirror of a batch, flat.

    Raises:
        ValueError: as `rotate`.
    """
    plan, (height, width) = tables.resize, tables.resize.size
    source, target = flat(frames, "frames"), flat(out, "out")
    clips, count = source.shape[:2] if len(source.shape) == 5 else (0, 0)
    if source.shape != (clips, count, *plan.stored, 3) or source.dtype != np.uint8:
        raise ValueError(f"frames are {source.dtype} {source.shape}; expected uint8 (B, F, {plan.stored[0]}, {plan.stored[1]}, 3)")
    if target.shape != (clips, 3, count, height, width) or target.dtype not in (np.float16, np.float32):
        expected = (clips, 3, count, height, width)
        raise ValueError(f"out is {target.dtype} {target.shape}; expected float16 or float32 {expected}")
    return source, target, [choice(shift, "shift", clips), choice(mirror, "mirror", clips)]


def choice(values: Any, name: str, clips: int) -> Any:
    """What was drawn for every clip, (B,) int64 on the device, as a kernel takes it.

    Raises:
        ValueError: it is something else.
    """
    found: Flat = flat(values, name)
    if found.shape != (clips,) or found.dtype != np.int64:
        raise ValueError(f"{name} is {found.dtype} {found.shape}; expected int64 {(clips,)}")
    return found.words()
