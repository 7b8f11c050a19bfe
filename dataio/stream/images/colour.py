"""The colours of a view, as torchvision defines them on float pictures: jitter in any order, then grey; mirrored on the way.

A picture is walked over row by row, so that all steps but one find their pixels in the cache. The one is contrast, which needs the
mean grey of the picture that it is given: what comes before it is one walk, what comes after it another. Nothing is rounded between
the steps; every step is clamped to 0 … 255, as in torchvision.
"""

from typing import Any

import numpy as np
from numba import njit

GREY = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in torchvision's grey (Rec. 601, but they sum to 0.9999)."""

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
"""The steps of a jitter, as an order names them."""


def colour(
    picture: np.ndarray,
    order: np.ndarray,
    factors: np.ndarray,
    grey: bool,
    mirror: bool,
    gain: np.ndarray,
    bias: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the planes of one view. Releases the GIL.

    Args:
        picture: (H, W, 3) uint8, C-contiguous.
        order: (4,) int64, a permutation of the steps. factors: (4,) float32 of brightness, contrast, saturation and hue, whatever
            the order; 1, 1, 1, 0 leave the colours alone, and such steps cost nothing. Hue is in turns of the circle, −½ … ½.
        grey: whether all three channels show the grey in the end.
        mirror: exchange left and right.
        gain, bias: (3,) float32; a level becomes level · gain + bias.
        out: (3, H, W) float32, C-contiguous, filled.

    Raises:
        ValueError: a shape or dtype is wrong; the message says which.
    """
    size = picture.shape[:2]
    if picture.shape != (*size, 3) or picture.dtype != np.uint8 or not picture.flags.c_contiguous:
        raise ValueError(f"picture is {picture.dtype} {picture.shape}; expected contiguous uint8 (H, W, 3)")
    if out.shape != (3, *size) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}; expected contiguous float32 {(3, *size)}")
    _colour(picture.reshape(size[0], -1), order, factors, grey, mirror, gain, bias, out)


# What is done to one pixel: plain functions, which numba compiles for the CPU here and for the GPU in colour_cuda.py.


def luma(red, green, blue):
    """The grey of a pixel."""
    return np.float32(GREY[0]) * red + np.float32(GREY[1]) * green + np.float32(GREY[2]) * blue


def blended(level, factor, rest):
    """level · factor + rest, within 0 … 255: a step from black (brightness), the mean grey (contrast) or its own (saturation)."""
    level = level * factor + rest
    level = level if level > np.float32(0) else np.float32(0)
    return level if level < np.float32(255) else np.float32(255)


def turned(red, green, blue, factor):
    """The pixel with its hue turned by `factor` of the circle, in HSV: value and chroma stay.

    Hue is counted in sixths of the circle, from red over green to blue (Smith 1978), and each channel is a trapezium over it.
    """
    most = red if red > green else green
    most = most if most > blue else blue
    least = red if red < green else green
    least = least if least < blue else blue
    chroma = most - least
    scale = np.float32(1) / (chroma if chroma > np.float32(0) else np.float32(1))
    hue = np.float32(4) + (red - green) * scale
    hue = np.float32(2) + (blue - red) * scale if green == most else hue
    hue = (green - blue) * scale if red == most else hue
    hue += np.float32(6) * factor
    hue = hue + np.float32(6) if hue < np.float32(0) else hue
    hue = hue - np.float32(6) if hue >= np.float32(6) else hue
    zero, one, two, three, four = np.float32(0), np.float32(1), np.float32(2), np.float32(3), np.float32(4)
    r = max(zero, min(one, abs(hue - three) - one))
    g = max(zero, min(one, two - abs(hue - two)))
    b = max(zero, min(one, two - abs(hue - four)))
    return least + chroma * r, least + chroma * g, least + chroma * b


_HOW: Any = {"nogil": True, "cache": True, "fastmath": True, "_nrt": False}
_loop: Any = njit(**_HOW)  # without counting references: see compiled.part
_luma, _blended, _turned = _loop(luma), _loop(blended), _loop(turned)


@_loop
def _spread(row, r, g, b):
    """A row of RGB bytes into three rows of floats."""
    for x in range(r.size):
        r[x] = row[3 * x]
        g[x] = row[3 * x + 1]
        b[x] = row[3 * x + 2]


@_loop
def _reverse(line):
    for x in range(line.size // 2):
        line[x], line[line.size - 1 - x] = line[line.size - 1 - x], line[x]


@_loop
def _blend(line, factor, rest):
    for x in range(line.size):
        line[x] = _blended(line[x], factor, rest)


@_loop
def _saturate(r, g, b, factor):
    for x in range(r.size):
        rest = (np.float32(1) - factor) * _luma(r[x], g[x], b[x])
        r[x], g[x], b[x] = _blended(r[x], factor, rest), _blended(g[x], factor, rest), _blended(b[x], factor, rest)


@_loop
def _turn_hue(r, g, b, factor):
    for x in range(r.size):
        r[x], g[x], b[x] = _turned(r[x], g[x], b[x], factor)


@_loop
def _steps(r, g, b, order, factors):
    """All steps of `order` but contrast, on one row."""
    for step in order:
        factor = factors[step]
        if step == BRIGHTNESS and factor != 1:
            _blend(r, factor, np.float32(0))
            _blend(g, factor, np.float32(0))
            _blend(b, factor, np.float32(0))
        elif step == SATURATION and factor != 1:
            _saturate(r, g, b, factor)
        elif step == HUE and factor != 0:
            _turn_hue(r, g, b, factor)


@_loop
def _sum_grey(r, g, b):
    total = np.float32(0)
    for x in range(r.size):
        total += _luma(r[x], g[x], b[x])
    return total


@_loop
def _finish(r, g, b, grey, gain, bias):
    if grey:
        for x in range(r.size):
            level = _luma(r[x], g[x], b[x])
            r[x] = level * gain[0] + bias[0]
            g[x] = level * gain[1] + bias[1]
            b[x] = level * gain[2] + bias[2]
    else:
        for x in range(r.size):
            r[x] = r[x] * gain[0] + bias[0]
            g[x] = g[x] * gain[1] + bias[1]
            b[x] = b[x] * gain[2] + bias[2]


@_loop
def _colour(rows, order, factors, grey, mirror, gain, bias, out):
    height, width = out.shape[1:]
    contrast = factors[CONTRAST]
    at = 0
    rest = np.float32(0)
    if contrast != 1:
        while order[at] != CONTRAST:
            at += 1
        total = 0.0
        for y in range(height):
            r, g, b = out[0, y], out[1, y], out[2, y]
            _spread(rows[y], r, g, b)
            _steps(r, g, b, order[:at], factors)
            total += _sum_grey(r, g, b)
        rest = np.float32((1 - contrast) * total / (height * width))
    for y in range(height):
        r, g, b = out[0, y], out[1, y], out[2, y]
        if contrast != 1:
            _blend(r, contrast, rest)
            _blend(g, contrast, rest)
            _blend(b, contrast, rest)
        else:
            _spread(rows[y], r, g, b)
        _steps(r, g, b, order[at:], factors)
        _finish(r, g, b, grey, gain, bias)
        if mirror:
            _reverse(r)
            _reverse(g)
            _reverse(b)
