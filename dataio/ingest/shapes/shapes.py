"""Outlines, as signed distances: positive inside, negative outside, zero on the edge.

All shapes have the same area, that of a disc of diameter 1, so that size says nothing about the class. Each is its own mirror
image, left to right, so that a flip changes nothing either. Lengths are in units of that diameter, the middle of the shape is the
origin, and y points down.
"""

import math
from collections.abc import Callable

import numpy as np

AREA = math.pi / 4.0

_SQUARE = math.sqrt(AREA) / 2.0  # half a side
_TRIANGLE = math.sqrt(AREA / (3.0 * math.sqrt(3.0)))  # radius of the inscribed circle
_POINTS = 5
_NOTCH = 0.5  # of the star: radius of the inner corners over that of the points
_STAR = math.sqrt(AREA / (_POINTS * _NOTCH * math.sin(math.pi / _POINTS)))  # radius of the points
_CROSS = math.sqrt(AREA / 5.0) / 2.0  # half the width of a bar, which is three times as long

RADIUS = {
    "cross": _CROSS * math.sqrt(10.0),
    "disc": 0.5,
    "square": _SQUARE * math.sqrt(2.0),
    "star": _STAR,
    "triangle": 2.0 * _TRIANGLE,
}
"""Shape → radius of the circle round it. The names, in order, are the shapes that there are."""


def inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to the edge of `shape` at each point (x, y), arrays of one form; off a corner it is the nearest line's.

    Raises:
        KeyError: there is no such shape.
    """
    return _DISTANCES[shape](x, y)


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.5 - np.hypot(x, y)


def _box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    return np.minimum(half_width - np.abs(x), half_height - np.abs(y))


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _box(x, y, _SQUARE, _SQUARE)


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(_box(x, y, 3.0 * _CROSS, _CROSS), _box(x, y, _CROSS, 3.0 * _CROSS))


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    slant = math.sqrt(0.75) * np.abs(x) - 0.5 * y
    return _TRIANGLE - np.maximum(y, slant)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By its symmetry every point is brought to one edge, from the point at the top to the notch beside it."""
    half = math.pi / _POINTS
    angle = np.abs(np.mod(np.arctan2(x, -y) + half, 2.0 * half) - half)
    across, up = _STAR * (1.0 - _NOTCH * math.cos(half)), _STAR * _NOTCH * math.sin(half)
    length = math.hypot(across, up)
    radius = np.hypot(x, y)
    return ((_STAR - radius * np.cos(angle)) * up - radius * np.sin(angle) * across) / length


_DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "cross": _cross,
    "disc": _disc,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}
