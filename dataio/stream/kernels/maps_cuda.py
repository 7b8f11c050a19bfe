"""The pictures that are no light, turned on the GPU: the formulas of maps.py, a pixel of the output a thread.

A clip has one map of a kind where it has many frames, so these kernels are kept plain. Written for the GPU, compiled for compute
capability 9.0 and checked in numba's CUDA simulator, not yet run on a device.
"""

# mypy: no-check-untyped-defs
# inside a kernel, names mean what numba makes of them

from typing import Any

import numpy as np
from numba import cuda

from dataio.stream.kernels.device_arrays import flat, queue
from dataio.stream.kernels.rotate_cuda import THREADS, Tables, choice, geometry

_SIDE = 32_767  # so that twice the product of two sides is a number of 32 bits


@cuda.jit(device=True)
def output_column(x, shift, mirror, width):
    """The column of the resized map that column x of the output shows."""
    source = np.uint32(np.uint32(width - np.uint32(1)) - x) if mirror else np.uint32(x)
    return np.uint32(np.uint32(source + np.uint32(np.uint32(shift) % width)) % width)


@cuda.jit
def labels_kernel(maps, height_in, width_in, shift, mirror, height, width, out):
    """maps (B, H, W), out (B, 1, height, width), flat uint8. Grid: x over pixels of a map, z over clips."""
    clip = np.uint64(cuda.blockIdx.z)
    pixel = np.uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    if pixel >= np.uint32(height * width):
        return
    y = np.uint32(pixel // width)
    x = output_column(np.uint32(pixel - np.uint32(y * width)), shift[clip], mirror[clip] != 0, width)
    row = np.uint32(np.uint32(np.uint32(np.uint32(2) * y + np.uint32(1)) * height_in) // np.uint32(np.uint32(2) * height))
    column = np.uint32(np.uint32(np.uint32(np.uint32(2) * x + np.uint32(1)) * width_in) // np.uint32(np.uint32(2) * width))
    source = clip * np.uint64(np.uint32(height_in * width_in)) + np.uint64(np.uint32(np.uint32(row * width_in) + column))
    out[clip * np.uint64(np.uint32(height * width)) + np.uint64(pixel)] = maps[source]


@cuda.jit
def flow_kernel(flow, valid, height_in, width_in, shift, mirror, rows, row_weights, columns, column_weights, height, width, out):
    """flow (B, H, W, 2), valid (B, H, W), out (B, 2, height, width), flat. Grid: x over pixels of a map, z over clips."""
    clip = np.uint64(cuda.blockIdx.z)
    pixel = np.uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    if pixel >= np.uint32(height * width):
        return
    y = np.uint32(pixel // width)
    mirrored = mirror[clip] != 0
    x = output_column(np.uint32(pixel - np.uint32(y * width)), shift[clip], mirrored, width)
    row_taps, column_taps = row_weights.size // height, column_weights.size // width
    first = clip * np.uint64(np.uint32(height_in * width_in))
    u, v, total = np.float32(0), np.float32(0), np.float32(0)
    for j in range(row_taps):
        line = first + np.uint64(np.uint32(np.uint32(rows[y] + j) * width_in))
        vertical = row_weights[np.uint32(y * row_taps + j)]
        for i in range(column_taps):
            column = np.uint32(np.uint32(columns[x] + i) % width_in)
            at = line + np.uint64(column)
            if valid[at]:  # what is not known may be anything, even no number
                weight = vertical * column_weights[np.uint32(x * column_taps + i)]
                u += weight * flow[np.uint64(2) * at]
                v += weight * flow[np.uint64(2) * at + np.uint64(1)]
                total += weight
    scale = np.float32(1) / total if total > 0 else np.float32(0)
    across = scale * np.float32(width) / np.float32(width_in)
    area = np.uint64(np.uint32(height * width))
    to = np.uint64(2) * clip * area + np.uint64(pixel)
    out[to] = -u * across if mirrored else u * across
    out[to + area] = v * (scale * np.float32(height) / np.float32(height_in))


def turn_labels(maps: Any, shift: Any, mirror: Any, size: tuple[int, int], out: Any, stream: int = 0) -> None:
    """Class ids, or masks, of a batch by the nearest pixel, as `maps.turn_labels`, bit for bit; asynchronously on `stream`.

    Args:
        maps: (B, H, W) uint8 on the device. shift, mirror: (B,) int64, as in `rotate_cuda.rotate`.
        size: (height, width) of the output.
        out: (B, 1, height, width) uint8, filled. All: contiguous, anything with `__cuda_array_interface__`. stream: a raw handle.

    Raises:
        ValueError: a shape, dtype or layout is wrong; the message says which.
    """
    source, target = flat(maps, "maps"), flat(out, "out")
    if len(source.shape) != 3 or source.dtype != np.uint8 or not 0 < max(source.shape[1:]) <= _SIDE:
        raise ValueError(f"maps are {source.dtype} {source.shape}; expected uint8 (B, H, W), sides up to {_SIDE}")
    clips, height_in, width_in = source.shape
    if target.shape != (clips, 1, *size) or target.dtype != np.uint8 or not 0 < max(size) <= _SIDE:
        raise ValueError(f"out is {target.dtype} {target.shape}; expected uint8 {(clips, 1, *size)}, sides up to {_SIDE}")
    sides = [np.uint32(n) for n in (height_in, width_in, *size)]
    turns = [choice(shift, "shift", clips), choice(mirror, "mirror", clips)]
    if clips:
        grid = geometry(clips, 1, -(-size[0] * size[1] // THREADS))
        labels_kernel[grid, THREADS, queue(stream)](source.words(), *sides[:2], *turns, *sides[2:], target.words())


def turn_flow(flow: Any, valid: Any, shift: Any, mirror: Any, tables: Tables, out: Any, stream: int = 0) -> None:
    """Motion of a batch in pixels of the output, as `maps.turn_flow`, asynchronously on `stream`.

    Args:
        flow: (B, H, W, 2) float32 on the device. valid: (B, H, W) uint8, 0 where it is not known.
        shift, mirror: (B,) int64, as in `rotate_cuda.rotate`. tables: of the maps' own size and the output's.
        out: (B, 2, height, width) float32, filled. All: contiguous, anything with `__cuda_array_interface__`. stream: a raw handle.

    Raises:
        ValueError: a shape, dtype or layout is wrong; the message says which.
    """
    source, known, target = flat(flow, "flow"), flat(valid, "valid"), flat(out, "out")
    clips, stored, size = source.shape[0] if source.shape else 0, tables.resize.stored, tables.resize.size
    if source.shape != (clips, *stored, 2) or source.dtype != np.float32 or max(*stored, *size) > _SIDE:
        raise ValueError(f"flow is {source.dtype} {source.shape}; expected float32 (B, {stored[0]}, {stored[1]}, 2)")
    if known.shape != (clips, *stored) or known.dtype != np.uint8:
        raise ValueError(f"valid is {known.dtype} {known.shape}; expected uint8 {(clips, *stored)}")
    if target.shape != (clips, 2, *size) or target.dtype != np.float32:
        raise ValueError(f"out is {target.dtype} {target.shape}; expected float32 {(clips, 2, *size)}")
    sides = [np.uint32(n) for n in (*stored, *size)]
    turns = [choice(shift, "shift", clips), choice(mirror, "mirror", clips)]
    if clips:
        grid = geometry(clips, 1, -(-size[0] * size[1] // THREADS))
        flow_kernel[grid, THREADS, queue(stream)](
            source.words(), known.words(), *sides[:2], *turns, *tables.neighbours, *sides[2:], target.words()
        )
