"""Pitch and roll on the GPU: the formulas of tilt.py and tilt_maps.py, an output pixel a thread, for all frames of its clip.

A place costs about three hundred instructions in double precision, which a GPU for computing has at half the rate of single: it is
worked out once and serves every frame. Written for the GPU, compiled for compute capability 9.0 and checked in numba's CUDA
simulator, not yet run on a device.
"""

# mypy: no-check-untyped-defs
# inside a kernel, names mean what numba makes of them

from typing import Any

import numpy as np
from numba import cuda, float32, int32

from dataio.format import sphere
from dataio.stream.kernels import tilt, tilt_maps
from dataio.stream.kernels.device_arrays import flat, queue
from dataio.stream.kernels.rotate_cuda import THREADS, Tables, checked, choice, geometry

_PLACES = tilt.MOST**2

_carried, _corner, _looked_up = (cuda.jit(device=True)(function) for function in (sphere.carried, tilt.corner, tilt.looked_up))
_nearest, _shortest = (cuda.jit(device=True)(function) for function in (tilt_maps.nearest, tilt_maps.shortest))


@cuda.jit
def frames_kernel(frames, count, height_in, width_in, n_down, n_right, shift, mirror, matrices, gain, bias, height, width, out):
    """frames (B, F, H, W, 3) uint8, matrices (B, 9), out (B, 3, F, height, width), flat. Grid: x over pixels, z over clips."""
    clip = cuda.blockIdx.z
    pixel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if pixel >= height * width:
        return
    y, x = pixel // width, pixel % width
    m = matrices[9 * clip : 9 * clip + 9]
    turned = shift[clip] % width * width_in / width
    places = n_down * n_right
    rows, columns = cuda.local.array(_PLACES, int32), cuda.local.array(_PLACES, int32)
    down, right = cuda.local.array(_PLACES, float32), cuda.local.array(_PLACES, float32)
    for k in range(places):
        row = y + (k // n_right + 0.5) / n_down - 0.5
        column = x + (k % n_right + 0.5) / n_right - 0.5
        r, c = _carried(row, column, height, width, m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], height_in, width_in)
        rows[k], columns[k], down[k], right[k] = _corner(r, c, turned, width_in)
    to = y * width + (width - 1 - x if mirror[clip] else x)
    area, share = np.int64(height) * width, np.float32(1) / np.float32(places)
    for f in range(count):
        start = np.int64(clip * count + f) * height_in * width_in * 3
        r, g, b = np.float32(0), np.float32(0), np.float32(0)
        for k in range(places):
            for i in range(2):
                vertical = (down[k] if i else np.float32(1) - down[k]) * share
                for j in range(2):
                    weight = vertical * (right[k] if j else np.float32(1) - right[k])
                    p, q, s = _looked_up(frames, start, rows[k] + i, columns[k] + j, height_in, width_in)
                    r, g, b = r + weight * np.float32(p), g + weight * np.float32(q), b + weight * np.float32(s)
        at = (3 * np.int64(clip) * count + f) * area + to
        out[at] = r * gain[0] + bias[0]
        out[at + count * area] = g * gain[1] + bias[1]
        out[at + 2 * count * area] = b * gain[2] + bias[2]


@cuda.jit
def labels_kernel(maps, height_in, width_in, shift, mirror, matrices, height, width, out):
    """maps (B, H, W), matrices (B, 9), out (B, 1, height, width), flat. Grid: x over pixels, z over clips."""
    clip = cuda.blockIdx.z
    pixel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if pixel >= height * width:
        return
    y, x = pixel // width, pixel % width
    m = matrices[9 * clip : 9 * clip + 9]
    turned = shift[clip] % width * width_in / width
    r, c = _carried(y, x, height, width, m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], height_in, width_in)
    row, column = _nearest(r, c, turned, height_in, width_in)
    to = y * width + (width - 1 - x if mirror[clip] else x)
    out[np.int64(clip) * height * width + to] = maps[(np.int64(clip) * height_in + row) * width_in + column]


@cuda.jit
def flow_kernel(flow, valid, height_in, width_in, shift, mirror, matrices, height, width, out):
    """flow (B, H, W, 2), valid (B, H, W), matrices (B, 9), out (B, 2, height, width), flat. Grid: x over pixels, z over clips."""
    clip = cuda.blockIdx.z
    pixel = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if pixel >= height * width:
        return
    y, x = pixel // width, pixel % width
    m = matrices[9 * clip : 9 * clip + 9]
    turned = shift[clip] % width * width_in / width
    r, c = _carried(y, x, height, width, m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], height_in, width_in)
    row, column = _nearest(r, c, turned, height_in, width_in)
    source = (np.int64(clip) * height_in + row) * width_in + column
    across, along = 0.0, 0.0
    if valid[source]:
        r, c = r + flow[2 * source + 1], c + flow[2 * source]
        r, c = _carried(r, c, height_in, width_in, m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8], height, width)
        across, along = _shortest(c - x, width), r - y
    to = np.int64(clip) * 2 * height * width + y * width + (width - 1 - x if mirror[clip] else x)
    out[to] = -across if mirror[clip] else across
    out[to + height * width] = along


def rotate(frames: Any, shift: Any, mirror: Any, matrices: Any, tables: Tables, out: Any, stream: int = 0) -> None:
    """As `rotate_cuda.rotate`, tilted: asynchronously on `stream`, a raw handle.

    Args:
        matrices: (B, 9) float64 on the device, as `tilt.matrices` has them. The others: as in `rotate_cuda.rotate`.

    Raises:
        ValueError: a shape, dtype or layout is wrong, or the batch is too large for one launch; the message says which.
    """
    source, target, turns = checked(frames, shift, mirror, tables, out)
    clips, count = source.shape[:2]
    plan, (height, width) = tables.resize, tables.resize.size
    tilts = _matrices(matrices, clips)
    if clips * count:
        sides = [np.int32(n) for n in (count, *plan.stored, *tilt.samples(plan.stored, plan.size))]
        grid = geometry(clips, 1, -(-height * width // THREADS))
        frames_kernel[grid, THREADS, queue(stream)](
            source.words(), *sides, *turns, tilts, *tables.levels, np.int32(height), np.int32(width), target.words()
        )


def turn_labels(maps: Any, shift: Any, mirror: Any, matrices: Any, size: tuple[int, int], out: Any, stream: int = 0) -> None:
    """As `maps_cuda.turn_labels`, tilted. matrices: as in `rotate`.

    Raises:
        ValueError: a shape, dtype or layout is wrong; the message says which.
    """
    source, target = flat(maps, "maps"), flat(out, "out")
    if len(source.shape) != 3 or source.dtype != np.uint8:
        raise ValueError(f"maps are {source.dtype} {source.shape}; expected uint8 (B, H, W)")
    clips = source.shape[0]
    if target.shape != (clips, 1, *size) or target.dtype != np.uint8:
        raise ValueError(f"out is {target.dtype} {target.shape}; expected uint8 {(clips, 1, *size)}")
    turns, tilts = [choice(shift, "shift", clips), choice(mirror, "mirror", clips)], _matrices(matrices, clips)
    sides = [np.int32(n) for n in (*source.shape[1:], *size)]
    if clips:
        grid = geometry(clips, 1, -(-size[0] * size[1] // THREADS))
        labels_kernel[grid, THREADS, queue(stream)](source.words(), *sides[:2], *turns, tilts, *sides[2:], target.words())


def turn_flow(flow: Any, valid: Any, shift: Any, mirror: Any, matrices: Any, tables: Tables, out: Any, stream: int = 0) -> None:
    """As `maps_cuda.turn_flow`, tilted: `tilt_maps.turn_flow` for a batch. matrices: as in `rotate`.

    Raises:
        ValueError: a shape, dtype or layout is wrong; the message says which.
    """
    source, known, target = flat(flow, "flow"), flat(valid, "valid"), flat(out, "out")
    clips, stored, size = source.shape[0] if source.shape else 0, tables.resize.stored, tables.resize.size
    for found, name, shape, kind in (
        (source, "flow", (clips, *stored, 2), np.float32),
        (known, "valid", (clips, *stored), np.uint8),
        (target, "out", (clips, 2, *size), np.float32),
    ):
        if found.shape != shape or found.dtype != kind:
            raise ValueError(f"{name} is {found.dtype} {found.shape}; expected {np.dtype(kind)} {shape}")
    turns, tilts = [choice(shift, "shift", clips), choice(mirror, "mirror", clips)], _matrices(matrices, clips)
    sides = [np.int32(n) for n in (*stored, *size)]
    if clips:
        grid = geometry(clips, 1, -(-size[0] * size[1] // THREADS))
        flow_kernel[grid, THREADS, queue(stream)](
            source.words(), known.words(), *sides[:2], *turns, tilts, *sides[2:], target.words()
        )


def _matrices(values: Any, clips: int) -> Any:
    found = flat(values, "matrices")
    if found.shape != (clips, 9) or found.dtype != np.float64:
        raise ValueError(f"matrices are {found.dtype} {found.shape}; expected float64 {(clips, 9)}")
    return found.words()
