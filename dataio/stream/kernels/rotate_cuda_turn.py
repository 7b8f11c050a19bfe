"""Turning without resizing on the GPU: four neighbouring pixels a thread, moved in words. See rotate_cuda.py.

Written for the GPU, simulated, not yet run on a device.
"""

# mypy: no-check-untyped-defs
# inside a kernel, names mean what numba makes of them

import numpy as np
from numba import cuda

from dataio.stream.kernels.wide import level, store4

PIXELS = 4
"""Of a thread: twelve bytes, the least that is a whole number of words. The width must be a multiple."""

ROWS = 4
"""Of a thread, one below the other: what is worked out of its column serves them all."""


@cuda.jit(device=True)
def _joined(first, second, bits):
    """The word that begins `bits` into the first of two; bits is 8, 16 or 24."""
    return np.uint32(((np.uint64(second) << np.uint64(32)) | np.uint64(first)) >> np.uint64(bits) & np.uint64(0xFFFFFFFF))


@cuda.jit(device=True)
def _pixel(words, at):
    """The three levels from byte `at` on of memory read as words."""
    r, g, b = np.uint64(at), np.uint64(at + np.uint64(1)), np.uint64(at + np.uint64(2))
    three, two = np.uint64(3), np.uint64(2)
    return _byte(words[r >> two], r & three), _byte(words[g >> two], g & three), _byte(words[b >> two], b & three)


@cuda.jit(device=True)
def _byte(word, at):
    return np.float32(np.uint32((word >> np.uint32(np.uint64(8) * at)) & np.uint32(255)))


@cuda.jit(device=True)
def _store(out, at, backwards, a, b, c, d, gain, bias):
    """Four levels of a channel, in place or from right to left."""
    a, b, c, d = a * gain + bias, b * gain + bias, c * gain + bias, d * gain + bias
    if backwards:
        store4(out, at, d, c, b, a)
    else:
        store4(out, at, a, b, c, d)


@cuda.jit(device=True)
def _round(source, width):
    """A column that may lie beyond the edge, once round."""
    return np.uint32(source - width) if source >= width else np.uint32(source)


@cuda.jit
def turn(words, height, width, shift, mirror, gain, bias, out):
    """words: (B, F, H, W, 3) uint8 as uint32; out: (B, 3, F, H, W), flat. Grid: x over pieces of a frame, y frames, z clips."""
    clip, f, count = np.uint64(cuda.blockIdx.z), np.uint64(cuda.blockIdx.y), np.uint64(cuda.gridDim.y)
    run = np.uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    runs = np.uint32(width >> np.uint32(2))
    group = np.uint32(run // runs)
    y = np.uint32(np.uint32(ROWS) * group)
    stop = np.uint32(min(np.uint32(y + np.uint32(ROWS)), height))
    x = np.uint32(np.uint32(4) * np.uint32(run - np.uint32(group * runs)))
    offset = np.uint32(shift[clip])
    if offset >= width:  # never, as shifts are drawn
        offset = np.uint32(offset % width)
    source = _round(np.uint32(x + offset), width)
    whole = np.uint32(source + np.uint32(4)) <= width  # else the run goes round the seam: one thread of a row
    bits = np.uint32(np.uint32(8) * np.uint32(np.uint32(np.uint32(3) * source) & np.uint32(3)))  # alike in all threads of a row
    backwards = mirror[clip] != 0
    to = np.uint32(np.uint32(width - np.uint32(4)) - x) if backwards else x

    two, three = np.uint64(2), np.uint64(3)
    area = np.uint64(height) * np.uint64(width)
    plane = count * area
    first = (clip * count + f) * area + np.uint64(np.uint32(y * width))  # pixel at which the row begins: a multiple of four
    at = three * clip * plane + f * area + np.uint64(np.uint32(np.uint32(y * width) + to))
    # read before anything is written: the compiler cannot know that `out` lies elsewhere
    gain_r, gain_g, gain_b, bias_r, bias_g, bias_b = gain[0], gain[1], gain[2], bias[0], bias[1], bias[2]
    while y < stop:
        byte = three * (first + np.uint64(source))
        if whole:
            word = byte >> two
            a, b, c = words[word], words[word + np.uint64(1)], words[word + two]
            if bits:
                d = words[word + three]
                a, b, c = _joined(a, b, bits), _joined(b, c, bits), _joined(c, d, bits)
            r0, g0, b0, r1 = level(a, 0), level(a, 1), level(a, 2), level(a, 3)
            g1, b1, r2, g2 = level(b, 0), level(b, 1), level(b, 2), level(b, 3)
            b2, r3, g3, b3 = level(c, 0), level(c, 1), level(c, 2), level(c, 3)
        else:
            r0, g0, b0 = _pixel(words, byte)
            r1, g1, b1 = _pixel(words, three * (first + np.uint64(_round(np.uint32(source + np.uint32(1)), width))))
            r2, g2, b2 = _pixel(words, three * (first + np.uint64(_round(np.uint32(source + np.uint32(2)), width))))
            r3, g3, b3 = _pixel(words, three * (first + np.uint64(_round(np.uint32(source + np.uint32(3)), width))))
        _store(out, at, backwards, r0, r1, r2, r3, gain_r, bias_r)
        _store(out, at + plane, backwards, g0, g1, g2, g3, gain_g, bias_g)
        _store(out, at + two * plane, backwards, b0, b1, b2, b3, gain_b, bias_b)
        first, at = first + np.uint64(width), at + np.uint64(width)
        y = np.uint32(y + np.uint32(1))
