"""One object: where it is, how it is turned, what covers it; and how it is painted."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dataio.ingest.shapes.shapes import RADIUS, inside
from dataio.ingest.shapes.textures import TEXTURES, first

CLASSES = tuple(f"{shape}-{texture}" for shape in RADIUS for texture in TEXTURES)
"""Names of the classes, in order: class id k is CLASSES[k]."""

PERIODS = (0.26, 0.34)
"""Range of a texture's period, as a share of the object's diameter: three or four fit across, near or far."""


@dataclass(frozen=True)
class Thing:
    """An object of a picture. Lengths are shares of the picture's side, angles in radians.

    Attributes:
        class_id: its row in `CLASSES`.
        x, y: its middle, from the left and from the top.
        diameter: of the disc that has its area.
        turn: of its outline.
        grain: direction of its texture.
        period: of its texture.
        phase: of its texture, two shares of a period.
    """

    class_id: int
    x: float
    y: float
    diameter: float
    turn: float
    grain: float
    period: float
    phase: tuple[float, float]

    @property
    def radius(self) -> float:
        """Radius of the circle round it."""
        return RADIUS[shape_of(self.class_id)] * self.diameter


def shape_of(class_id: int) -> str:
    """Name of the shape of a class."""
    return CLASSES[class_id].partition("-")[0]


def texture_of(class_id: int) -> str:
    """Name of the texture of a class."""
    return CLASSES[class_id].partition("-")[2]


def draw_thing(rng: Generator, class_id: int, diameters: tuple[float, float]) -> Thing:
    """An object of this class, somewhere in the picture, at most the tips of it cut off. Every class takes the same draws."""
    diameter = rng.uniform(*diameters)
    x, y = rng.random(2)
    turn, grain = rng.uniform(0.0, 2.0 * math.pi, 2)
    period = diameter * rng.uniform(*PERIODS)
    margin = min(0.5, 0.9 * RADIUS[shape_of(class_id)] * diameter)
    x, y = (margin + (1.0 - 2.0 * margin) * share for share in (x, y))
    return Thing(class_id, x, y, diameter, turn, grain, period, tuple(rng.random(2).tolist()))


def paint(thing: Thing, colours: np.ndarray, pixels: np.ndarray, classes: np.ndarray) -> None:
    """Paint an object over what is there.

    Args:
        colours: (2, 3) RGB of its texture.
        pixels: (size, size, 3) float64, blended by how much of each pixel the object covers.
        classes: (size, size) uint8, set to 1 + its class id where it covers half a pixel or more.
    """
    size = len(pixels)
    x, y = size * thing.x, size * thing.y
    reach = size * thing.radius + 1.0
    rows, columns = (slice(max(0, math.floor(at - reach)), min(size, math.ceil(at + reach))) for at in (y, x))
    right = np.arange(columns.start, columns.stop)[None, :] + 0.5 - x
    down = np.arange(rows.start, rows.stop)[:, None] + 0.5 - y
    scale = size * thing.diameter
    edge = scale * inside(shape_of(thing.class_id), *(part / scale for part in _turned(right, down, thing.turn)))
    period = size * thing.period
    u, v = (part / period + phase for part, phase in zip(_turned(right, down, thing.grain), thing.phase, strict=True))
    share = _cover(period * first(texture_of(thing.class_id), u, v))[:, :, None]
    there = pixels[rows, columns]
    there += _cover(edge)[:, :, None] * (colours[1] + share * (colours[0] - colours[1]) - there)
    classes[rows, columns][edge >= 0.0] = 1 + thing.class_id


def _turned(right: np.ndarray, down: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    return math.cos(angle) * right + math.sin(angle) * down, math.cos(angle) * down - math.sin(angle) * right


def _cover(distance: np.ndarray) -> np.ndarray:
    """Share of a pixel that lies inside an edge at this signed distance in pixels from its middle."""
    return np.clip(distance + 0.5, 0.0, 1.0)
