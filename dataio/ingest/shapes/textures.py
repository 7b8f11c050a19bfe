"""Patterns of two colours, as signed distances: positive where the first colour is, negative where the second is.

Coordinates and distances are in periods. Each pattern is its own mirror image, and repeats over about one period in its strongest
direction, so that no blur takes one away before the others.
"""

import math
from collections.abc import Callable

import numpy as np

_DOT = 0.33  # radius of a dot


def first(texture: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Signed distance to the nearest border between the colours at each point (u, v), arrays of one form.

    Raises:
        KeyError: there is no such texture.
    """
    return _PATTERNS[texture](u, v)


def _band(u: np.ndarray) -> np.ndarray:
    """Bands half a period wide across u."""
    return 0.25 - np.abs(u - np.floor(u) - 0.5)


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _band(u)


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # the strongest waves of a checkerboard run along its diagonals, and are shorter than its period by √2
    across, down = _band(u / math.sqrt(2.0)), _band(v / math.sqrt(2.0))
    nearest = np.minimum(np.abs(across), np.abs(down))
    return math.sqrt(2.0) * np.copysign(nearest, across * down)


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _DOT - np.hypot(u - np.floor(u) - 0.5, v - np.floor(v) - 0.5)


def _plain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.full(np.broadcast_shapes(u.shape, v.shape), np.inf)


_PATTERNS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "checks": _checks,
    "dots": _dots,
    "plain": _plain,
    "stripes": _stripes,
}
TEXTURES = tuple(_PATTERNS)
"""Names of the textures that there are, in order."""
