"""What each kind of thing looks like: a few boxes and discs, painted in order.

Coordinates are fractions of half the length and half the height, from the middle: u grows to where the thing is heading, v upwards.
Every kind reaches from −1 to 1 along u, so that the middle of its outline is where its path is.
"""

from dataclasses import dataclass

import numpy as np

BOX, DISC = 0, 1
PARTS = 8  # rows of a table; unused ones have no extent

_GLASS, _TYRE, _STEEL = (190, 205, 215), (28, 28, 30), (70, 70, 76)


@dataclass(frozen=True)
class Part:
    """A box or an ellipse: middle (u, v), half extents, and colour."""

    shape: int
    u: float
    v: float
    half_u: float
    half_v: float
    colour: tuple[int, int, int]


LOOKS: dict[str, tuple[Part, ...]] = {
    "car": (
        Part(BOX, -0.12, 0.5, 0.56, 0.5, (190, 30, 30)),
        Part(BOX, 0.0, -0.28, 1.0, 0.42, (215, 40, 35)),
        Part(BOX, -0.1, 0.5, 0.46, 0.3, _GLASS),
        Part(BOX, 0.9, -0.2, 0.1, 0.14, (250, 240, 180)),
        Part(DISC, -0.6, -0.66, 0.17, 0.34, _TYRE),
        Part(DISC, 0.6, -0.66, 0.17, 0.34, _TYRE),
    ),
    "tram": (
        Part(BOX, 0.0, -0.85, 0.8, 0.15, _STEEL),
        Part(BOX, 0.0, 0.05, 1.0, 0.8, (35, 70, 200)),
        Part(BOX, 0.0, 0.35, 0.94, 0.24, (205, 220, 240)),
        Part(BOX, 0.0, -0.35, 1.0, 0.08, (235, 235, 245)),
        Part(BOX, 0.9, 0.2, 0.1, 0.5, (225, 235, 250)),
        Part(BOX, -0.1, 0.92, 0.25, 0.08, _STEEL),
    ),
    "motorcycle": (
        Part(DISC, -0.62, -0.55, 0.38, 0.45, _TYRE),
        Part(DISC, 0.62, -0.55, 0.38, 0.45, _TYRE),
        Part(BOX, 0.05, -0.2, 0.62, 0.26, (235, 210, 30)),
        Part(DISC, -0.1, 0.3, 0.26, 0.5, (60, 150, 40)),
        Part(DISC, 0.0, 0.8, 0.16, 0.2, (245, 225, 60)),
    ),
    "pedestrian": (
        Part(BOX, 0.0, -0.5, 0.6, 0.5, (72, 66, 84)),
        Part(DISC, 0.0, 0.15, 1.0, 0.5, (120, 104, 128)),
        Part(DISC, 0.05, 0.78, 0.42, 0.22, (196, 160, 140)),
    ),
    "bird": (
        Part(DISC, -0.1, 0.35, 0.25, 0.65, (58, 58, 62)),
        Part(DISC, 0.0, -0.2, 1.0, 0.4, (40, 40, 44)),
    ),
}


def look_table(kind: str, brightness: float, tint: tuple[float, float, float]) -> np.ndarray:
    """The parts of a kind as (PARTS, 8) float64 for compiled code: shape, u, v, half u, half v, red, green, blue (0 … 255)."""
    table = np.zeros((PARTS, 8))
    for row, part in zip(table, LOOKS[kind], strict=False):
        colour = np.clip(np.array(part.colour) * brightness + np.array(tint), 0.0, 255.0)
        row[:] = (part.shape, part.u, part.v, part.half_u, part.half_v, *colour)
    return table
