"""A Gaussian blur of planes in place, by a sampled kernel and with the edges reflected, as in torchvision."""

import math
from typing import Any

import numpy as np
from numba import njit

REACH = 4.0
"""Standard deviations after which the kernel ends: what is cut off weighs less than 1e-4."""


def kernel(sigma: float) -> np.ndarray:
    """The middle and one side of the kernel, (radius + 1,) float32: exp(−x² / 2σ²), scaled so that the whole kernel sums to one.

    sigma: pixels. radius: ⌈4σ⌉; torchvision leaves it to the caller.
    """
    half = np.exp(-0.5 * (np.arange(math.ceil(REACH * sigma) + 1) / sigma) ** 2)
    return (half / (2 * half.sum() - half[0])).astype(np.float32)


def blur(planes: np.ndarray, weights: np.ndarray, between: np.ndarray) -> None:
    """Blur every plane. Releases the GIL.

    Args:
        planes: (C, H, W) float32, C-contiguous.
        weights: from `kernel`.
        between: (H, W) float32, overwritten.

    Raises:
        ValueError: a plane is too small to be reflected; the message says what would do.
    """
    if min(planes.shape[1:]) < len(weights):
        raise ValueError(
            f"a blur of radius {len(weights) - 1} needs pictures of at least {len(weights)} pixels; they are {planes.shape[1:]}"
        )
    _blur(planes, weights, between, np.empty(planes.shape[2] + 2 * len(weights), np.float32))


_HOW: Any = {"nogil": True, "cache": True, "fastmath": True, "_nrt": False}
_loop: Any = njit(**_HOW)  # without counting references: see compiled.part


@_loop
def _add_two(line, low, high, weight, lower, higher, other):
    """Two taps at once: the sums are loaded and stored half as often."""
    for x in range(line.size):
        line[x] += weight * (low[x] + high[x]) + other * (lower[x] + higher[x])


@_loop
def _add(line, low, high, weight):
    for x in range(line.size):
        line[x] += weight * (low[x] + high[x])


@_loop
def _within(y, height):
    """Reflected at the lower edge."""
    return y if y < height else 2 * (height - 1) - y


@_loop
def _scale(line, row, weight):
    for x in range(line.size):
        line[x] = weight * row[x]


@_loop
def _blur(planes, weights, between, padded):
    channels, height, width = planes.shape
    radius = weights.size - 1
    for c in range(channels):
        plane = planes[c]
        for y in range(height):
            row, line = plane[y], between[y]
            _scale(padded[radius : radius + width], row, np.float32(1))
            for x in range(radius):
                padded[x] = row[radius - x]
                padded[radius + width + x] = row[width - 2 - x]
            _scale(line, row, weights[0])
            for k in range(1, radius, 2):
                low, high = padded[radius - k :], padded[radius + k :]
                lower, higher = padded[radius - k - 1 :], padded[radius + k + 1 :]
                _add_two(line, low, high, weights[k], lower, higher, weights[k + 1])
            if radius % 2:
                _add(line, padded, padded[2 * radius :], weights[radius])
        for y in range(height):
            line = plane[y]
            _scale(line, between[y], weights[0])
            for k in range(1, radius, 2):
                low, high = between[abs(y - k)], between[_within(y + k, height)]
                lower, higher = between[abs(y - k - 1)], between[_within(y + k + 1, height)]
                _add_two(line, low, high, weights[k], lower, higher, weights[k + 1])
            if radius % 2:
                _add(line, between[abs(y - radius)], between[_within(y + radius, height)], weights[radius])
