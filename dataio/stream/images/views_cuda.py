"""Colours and blur of views on the GPU: one block a view for the colours, whose contrast needs a sum over it, then a row pass and a
column pass over those that are blurred. The arithmetic of a pixel is that of colour.py.

Written for the GPU and checked in numba's CUDA simulator; docs/gpu says what has run on a device.
"""

# mypy: no-check-untyped-defs
# inside a kernel, names mean what numba makes of them

from typing import Any

import numpy as np
from numba import cuda

from dataio.stream.images.blur import kernel
from dataio.stream.images.colour import CONTRAST, HUE, SATURATION, blended, luma, turned
from dataio.stream.kernels.device_arrays import queue

THREADS = 256  # a block; a power of two, for the sum

_luma, _blended, _turned = (cuda.jit(device=True)(function) for function in (luma, blended, turned))


@cuda.jit(device=True)
def _steps(red, green, blue, order, factors, begin, end, mean):
    """Steps begin … end − 1 of the order, on one pixel. mean: grey of the picture that the contrast is given."""
    one = np.float32(1)
    for k in range(begin, end):
        factor = factors[order[k]]
        if order[k] == HUE:
            red, green, blue = _turned(red, green, blue, factor)
        else:
            rest = np.float32(0)
            if order[k] == CONTRAST:
                rest = (one - factor) * mean
            elif order[k] == SATURATION:
                rest = (one - factor) * _luma(red, green, blue)
            red, green, blue = _blended(red, factor, rest), _blended(green, factor, rest), _blended(blue, factor, rest)
    return red, green, blue


@cuda.jit
def colour_kernel(pictures, v, order, factors, grey, flip, scaling, slot, levels, out):
    """View v of pictures (B, V, S, S, 3) uint8 → out (B, 3, S, S), or where slot[b] ≥ 0, levels[slot[b]]. A block a picture."""
    b, me = cuda.blockIdx.x, cuda.threadIdx.x
    size = pictures.shape[2]
    sums = cuda.shared.array(THREADS, np.float32)
    at = 0
    while order[b, at] != CONTRAST:
        at += 1
    total = np.float32(0)
    if factors[b, CONTRAST] != 1:
        for i in range(me, size * size, THREADS):
            pixel = pictures[b, v, i // size, i % size]
            red, green, blue = np.float32(pixel[0]), np.float32(pixel[1]), np.float32(pixel[2])
            red, green, blue = _steps(red, green, blue, order[b], factors[b], 0, at, np.float32(0))
            total += _luma(red, green, blue)
    sums[me] = total
    cuda.syncthreads()
    half = THREADS // 2
    while half:
        if me < half:
            sums[me] += sums[me + half]
        cuda.syncthreads()
        half //= 2
    mean = sums[0] / np.float32(size * size)
    for i in range(me, size * size, THREADS):
        y, x = i // size, i % size
        pixel = pictures[b, v, y, x]
        red, green, blue = np.float32(pixel[0]), np.float32(pixel[1]), np.float32(pixel[2])
        red, green, blue = _steps(red, green, blue, order[b], factors[b], 0, 4, mean)
        if grey[b]:
            red = green = blue = _luma(red, green, blue)
        to = size - 1 - x if flip[b] else x
        red, green, blue = (
            red * scaling[0, 0] + scaling[1, 0],
            green * scaling[0, 1] + scaling[1, 1],
            blue * scaling[0, 2] + scaling[1, 2],
        )
        if slot[b] >= 0:
            levels[slot[b], 0, y, to], levels[slot[b], 1, y, to], levels[slot[b], 2, y, to] = red, green, blue
        else:
            out[b, 0, y, to], out[b, 1, y, to], out[b, 2, y, to] = red, green, blue


@cuda.jit(device=True)
def _reflected(at, size):
    at = abs(at)
    return at if at < size else 2 * (size - 1) - at


@cuda.jit
def across_kernel(levels, weights, radius, between):
    """One pixel a thread. Grid: x over columns, y over rows, z over pictures × channels."""
    x, y, plane = cuda.grid(1), cuda.blockIdx.y, cuda.blockIdx.z
    m, c, size = plane // 3, plane % 3, levels.shape[3]
    if x < size:
        level = weights[m, 0] * levels[m, c, y, x]
        for k in range(1, radius[m] + 1):
            level += weights[m, k] * (levels[m, c, y, _reflected(x - k, size)] + levels[m, c, y, _reflected(x + k, size)])
        between[m, c, y, x] = level


@cuda.jit
def down_kernel(between, weights, radius, where, out):
    x, y, plane = cuda.grid(1), cuda.blockIdx.y, cuda.blockIdx.z
    m, c, size = plane // 3, plane % 3, between.shape[3]
    if x < size:
        level = weights[m, 0] * between[m, c, y, x]
        for k in range(1, radius[m] + 1):
            level += weights[m, k] * (between[m, c, _reflected(y - k, size), x] + between[m, c, _reflected(y + k, size), x])
        out[where[m], c, y, x] = level


def tables(sigma: np.ndarray) -> dict[str, np.ndarray]:
    """What the blur of a batch needs, for sigma (B,), 0 for none; M are blurred.

    Returns:
        slot (B,) int64: row among the blurred, −1 for the others. where (M,) int64: the inverse. weights (M, most + 1) float32 and
        radius (M,) int64: the kernels, as `blur.kernel` has them.
    """
    where = np.flatnonzero(sigma)
    slot = np.full(len(sigma), -1, np.int64)
    slot[where] = np.arange(len(where))
    kernels = [kernel(value) for value in sigma[where].tolist()]
    weights = np.zeros((len(where), max(map(len, kernels), default=1)), np.float32)
    for row, values in zip(weights, kernels, strict=True):
        row[: len(values)] = values
    radius = np.array([len(values) - 1 for values in kernels], np.int64)
    return {"slot": slot, "where": where, "weights": weights, "radius": radius}


def colour(
    pictures: Any,
    v: int,
    order: Any,
    factors: Any,
    grey: Any,
    flip: Any,
    scaling: Any,
    slot: Any,
    levels: Any,
    out: Any,
    stream: int = 0,
) -> None:
    """Write one view of every picture of a batch, asynchronously on `stream`, a raw handle; those with a slot, which `blur` will
    write, go to `levels`. Everything is on the device.

    Args:
        pictures: (B, V, S, S, 3) uint8, cropped and resized. v: which of the views.
        order (B, 4) int64, factors (B, 4) float32, grey and flip (B,) bool: as in `Draws`. scaling: (2, 3) float32, gain and bias.
        slot: (B,) int64, as in `tables`. levels: (max(M, 1), 3, S, S) float32.
        out: (B, 3, S, S) float32 or float16. Anything with `__cuda_array_interface__` will do.
    """
    there = [_array(values) for values in (order, factors, grey, flip, scaling, slot, levels, out)]
    colour_kernel[len(pictures), THREADS, queue(stream)](_array(pictures), v, *there)


def blur(levels: Any, where: Any, weights: Any, radius: Any, between: Any, out: Any, stream: int = 0) -> None:
    """Blur the M views in `levels` into their places, asynchronously on `stream`.

    Args:
        levels: (M, 3, S, S) float32, from `colour`. where, weights, radius: as in `tables`. between: as `levels`, overwritten.
        out: as in `colour`.
    """
    blurred, _, size, _ = levels.shape
    kernels, grid = [_array(values) for values in (weights, radius)], (-(-size // THREADS), size, 3 * blurred)
    first, second = _array(levels), _array(between)
    across_kernel[grid, THREADS, queue(stream)](first, *kernels, second)
    down_kernel[grid, THREADS, queue(stream)](second, *kernels, _array(where), _array(out))


def _array(values: Any) -> Any:
    """As numba takes it, without waiting for the stream that it came from."""
    return values if hasattr(values, "copy_to_host") else cuda.as_cuda_array(values, sync=False)
