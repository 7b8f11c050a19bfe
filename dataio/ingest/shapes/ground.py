"""What lies behind the objects: soft clouds, faint smears and lines. None of it has the outline of a shape."""

import math

import numpy as np
from numpy.random import Generator

from dataio.ingest.shapes.colours import tint

CELLS = (3, 6)
"""Cells of the clouds' two layers along a side."""

CLOUD_LIGHT, CLOUD_TINT = 4.0, 3.0
"""Standard deviations of the clouds' corners, of the coarser layer, in grey levels; the finer has half."""

STRONGEST = 10.0  # grey levels of a smear or line


def ground(rng: Generator, colour: np.ndarray, size: int) -> np.ndarray:
    """A background around this colour: (size, size, 3) float64 RGB, not yet limited to 0 … 255."""
    pixels = np.broadcast_to(colour, (size, size, 3)).copy()
    for layer, cells in enumerate(CELLS):
        pixels += _clouds(rng, cells, size) / 2**layer
    side = (np.arange(size) + 0.5) / size
    x, y = side[None, :], side[:, None]
    for _ in range(rng.integers(2, 5)):
        pixels += _smear(rng, x, y)[:, :, None] * _faint(rng)
    for _ in range(rng.integers(1, 4)):
        pixels += _line(rng, x, y)[:, :, None] * _faint(rng)
    return pixels


def _clouds(rng: Generator, cells: int, size: int) -> np.ndarray:
    """Random corners of a grid, and smooth steps in between (value noise): (size, size, 3)."""
    noise = rng.standard_normal((cells + 2, cells + 2, 3))
    corners = CLOUD_LIGHT * noise[:, :, :1] + CLOUD_TINT * (noise - noise.mean(2, keepdims=True))
    at = (np.arange(size) + 0.5) / size * cells + rng.random()
    low = at.astype(int)
    share = at - low
    weight = (share * share * (3.0 - 2.0 * share))[:, None, None]
    rows = corners[low] + weight * (corners[low + 1] - corners[low])
    columns = rows.swapaxes(0, 1)
    return (columns[low] + weight * (columns[low + 1] - columns[low])).swapaxes(0, 1)


def _smear(rng: Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A long soft blob, 1 in its middle."""
    u, v = _turned(rng, x, y)
    short = rng.uniform(0.03, 0.08)
    long = short * rng.uniform(2.0, 4.0)
    return np.exp(-0.5 * ((u / long) ** 2 + (v / short) ** 2))


def _line(rng: Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A thin line with soft ends, 1 in its middle."""
    u, v = _turned(rng, x, y)
    length, width = rng.uniform(0.1, 0.3), rng.uniform(0.006, 0.014)
    return np.exp(-0.5 * (v / width) ** 2) / (1.0 + (u / length) ** 8)


def _turned(rng: Generator, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across something at a random place in a random direction."""
    across, down, turn = rng.random(), rng.random(), rng.uniform(0.0, math.pi)
    cosine, sine = math.cos(turn), math.sin(turn)
    return cosine * (x - across) + sine * (y - down), cosine * (y - down) - sine * (x - across)


def _faint(rng: Generator) -> np.ndarray:
    """(3,) what a smear or line adds to the colour behind it."""
    light = rng.uniform(0.4, 1.0) * STRONGEST * (1 - 2 * rng.integers(2))
    return light + tint(rng.uniform(0.0, STRONGEST), rng.uniform(0.0, 2.0 * math.pi))
