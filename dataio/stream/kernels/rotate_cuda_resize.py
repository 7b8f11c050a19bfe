"""Resizing on the GPU, turned on the way: rows are mixed in registers, columns in shared memory. See rotate_cuda, rotate_strips.

Written for the GPU, simulated, not yet run on a device.
"""

# mypy: no-check-untyped-defs
# inside a kernel, names mean what numba makes of them

import numpy as np
from numba import cuda, float32

from dataio.stream.kernels.rotate_strips import LINES, PITCH
from dataio.stream.kernels.wide import high, level, low, store4

_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)
_FIRST, _SECOND, _THIRD = np.uint64(PITCH), np.uint64(2 * PITCH), np.uint64(3 * PITCH)  # lines of the four
_TABLES = np.uint64(LINES * PITCH)  # of weights, behind the lines


@cuda.jit(device=True)
def _taps(shared, at, r, g, b, weight):
    """A tap of one pixel on top of the others."""
    return r + weight * shared[at], g + weight * shared[at + _ONE], b + weight * shared[at + _TWO]


@cuda.jit(device=True)
def _write(out, at, plane, r, g, b, scale):
    out[at] = r * scale[0] + scale[3]
    out[at + plane] = g * scale[1] + scale[4]
    out[at + _TWO * plane] = b * scale[2] + scale[5]


@cuda.jit(device=True)
def _across(shared, x, columns, taps, filled, gain, bias, out, at, width, plane):
    """Mix column x of the strip from four lines, and write as many of them as are filled."""
    weight_at = _TABLES + np.uint64(x)
    tap = np.uint64(np.uint32(shared[weight_at + np.uint64(np.uint32(taps * columns))]))
    zero = np.float32(0)
    r0, g0, b0, r1, g1, b1 = zero, zero, zero, zero, zero, zero
    r2, g2, b2, r3, g3, b3 = zero, zero, zero, zero, zero, zero
    left = taps
    while left > 0:
        weight = shared[weight_at]
        r0, g0, b0 = _taps(shared, tap, r0, g0, b0, weight)
        r1, g1, b1 = _taps(shared, tap + _FIRST, r1, g1, b1, weight)
        r2, g2, b2 = _taps(shared, tap + _SECOND, r2, g2, b2, weight)
        r3, g3, b3 = _taps(shared, tap + _THIRD, r3, g3, b3, weight)
        tap, weight_at = tap + _THREE, weight_at + np.uint64(columns)
        left = np.uint32(left - np.uint32(1))
    # read before anything is written: the compiler cannot know that `out` lies elsewhere
    scale = gain[0], gain[1], gain[2], bias[0], bias[1], bias[2]
    _write(out, at, plane, r0, g0, b0, scale)
    if filled > 1:
        _write(out, at + np.uint64(width), plane, r1, g1, b1, scale)
    if filled > 2:
        _write(out, at + _TWO * np.uint64(width), plane, r2, g2, b2, scale)
    if filled > 3:
        _write(out, at + _THREE * np.uint64(width), plane, r3, g3, b3, scale)


@cuda.jit
def resize(
    words,
    shift,
    mirror,
    first,
    start,
    column_weights,
    at,
    steps,
    stored_height,
    stored_width,
    height,
    width,
    columns,
    band,
    piece,
    carry,
    gain,
    bias,
    out,
):
    """words: (B, F, H, W, 3) uint8 as uint64; out: (B, 3, F, height, width), flat; the rest: `Strips`, its tables flat.

    Grid: x over strips × bands of a frame, y over frames, z over clips.
    Shared memory: LINES mixed rows of PITCH floats, the strip's column weights, and where its taps begin.
    """
    me, threads = np.uint32(cuda.threadIdx.x), np.uint32(cuda.blockDim.x)
    clip, f, count = np.uint64(cuda.blockIdx.z), np.uint64(cuda.blockIdx.y), np.uint64(cuda.gridDim.y)
    block, strips = np.uint32(cuda.blockIdx.x), np.uint32(first.size)
    zone = np.uint32(block // strips)
    strip = np.uint32(block - np.uint32(zone * strips))
    top = np.uint32(zone * band)
    bottom = np.uint32(min(np.uint32(top + band), height))
    left = np.uint32(strip * columns)
    wide = np.uint32(min(columns, np.uint32(width - left)))
    taps = np.uint32(np.uint32(column_weights.size) // width)
    shared = cuda.shared.array(0, float32)  # begins at a multiple of 16, as there is no other
    x = me
    while x < wide:
        tap, to, source = np.uint32(0), np.uint32(x), np.uint32(left + x)
        shared[_TABLES + np.uint64(np.uint32(np.uint32(taps * columns) + x))] = np.float32(start[source])  # whole and below 2¹³
        while tap < taps:
            shared[_TABLES + np.uint64(to)] = column_weights[source]
            tap, to, source = np.uint32(tap + np.uint32(1)), np.uint32(to + columns), np.uint32(source + width)
        x = np.uint32(x + threads)

    row_words = np.uint32(np.uint32(np.uint32(3) * stored_width) >> np.uint32(3))
    frame = (clip * count + f) * (np.uint64(stored_height) * np.uint64(row_words))
    frame += np.uint64(np.uint32(np.uint32(first[strip]) + me) % row_words)
    turned = np.uint32(np.uint32(shift[clip]) % width)
    backwards = mirror[clip] != 0
    area = np.uint64(height) * np.uint64(width)
    plane = count * area
    picture = _THREE * clip * plane + f * area

    zero = np.float32(0)
    a0, a1, a2, a3, a4, a5, a6, a7 = zero, zero, zero, zero, zero, zero, zero, zero  # of this output row
    b0, b1, b2, b3, b4, b5, b6, b7 = zero, zero, zero, zero, zero, zero, zero, zero  # of the next one
    y = np.uint32(top - carry) if top > 0 else top  # what the row above leaves for the band
    k = np.uint64(2 * at[y])
    # two words are on their way while one is mixed
    ahead, behind = words[frame + steps[k + _ONE]], words[frame + steps[k + _THREE]]
    filled = np.uint32(0)
    while y < bottom:
        stop = np.uint64(2 * at[np.uint32(y + np.uint32(1))])
        while k < stop:
            word, pair = ahead, steps[k]
            ahead = behind
            behind = words[frame + steps[k + np.uint64(5)]]
            p, q = low(pair).view(np.float32), high(pair).view(np.float32)
            less, more = low(word), high(word)
            v0, v1, v2, v3 = level(less, 0), level(less, 1), level(less, 2), level(less, 3)
            v4, v5, v6, v7 = level(more, 0), level(more, 1), level(more, 2), level(more, 3)
            a0, a1, a2, a3 = a0 + p * v0, a1 + p * v1, a2 + p * v2, a3 + p * v3
            a4, a5, a6, a7 = a4 + p * v4, a5 + p * v5, a6 + p * v6, a7 + p * v7
            b0, b1, b2, b3 = b0 + q * v0, b1 + q * v1, b2 + q * v2, b3 + q * v3
            b4, b5, b6, b7 = b4 + q * v4, b5 + q * v5, b6 + q * v6, b7 + q * v7
            k += _TWO
        if y >= top:
            if me < piece:
                slot = np.uint64(filled) * _FIRST + np.uint64(np.uint32(np.uint32(8) * me))
                store4(shared, slot, a0, a1, a2, a3)
                store4(shared, slot + np.uint64(4), a4, a5, a6, a7)
            filled = np.uint32(filled + np.uint32(1))
        a0, a1, a2, a3, a4, a5, a6, a7 = b0, b1, b2, b3, b4, b5, b6, b7
        b0, b1, b2, b3, b4, b5, b6, b7 = zero, zero, zero, zero, zero, zero, zero, zero
        y = np.uint32(y + np.uint32(1))
        if filled == LINES or (y == bottom and filled > 0):
            cuda.syncthreads()
            row = picture + np.uint64(np.uint32(np.uint32(y - filled) * width))
            x = me
            while x < wide:
                to = np.uint32(left + x)
                to = np.uint32(to - turned) if to >= turned else np.uint32(np.uint32(to + width) - turned)
                to = np.uint32(np.uint32(width - np.uint32(1)) - to) if backwards else to
                _across(shared, x, columns, taps, filled, gain, bias, out, row + np.uint64(to), width, plane)
                x = np.uint32(x + threads)
            filled = np.uint32(0)
            cuda.syncthreads()
