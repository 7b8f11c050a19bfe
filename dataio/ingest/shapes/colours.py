"""Colours by brightness and hue, drawn without regard to what they colour."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

LEVELS = ((55.0, 85.0), (112.0, 143.0), (170.0, 200.0))
"""Ranges of brightness. Two colours that touch are of different levels, so that the edge between them is seen in grey as well."""

CHROMA = (10.0, 45.0)
GROUND_CHROMA = (0.0, 12.0)
"""Ranges of colour strength. The ground is paler than the objects: it fills most of a crop, and if its colour told one picture from
another, learning to tell them apart would ask for nothing else."""

_LOWEST, _HIGHEST = 6.0, 249.0


@dataclass(frozen=True)
class Palette:
    """Colours as (3,) float64 RGB, 0 … 255: of the ground, and of the two parts of each object's texture, (objects, 2, 3)."""

    ground: np.ndarray
    objects: np.ndarray


def draw_palette(rng: Generator, objects: int) -> Palette:
    """Colours for a picture of this many objects: hues over the whole circle, and the three levels in any order."""
    order = rng.permutation(len(LEVELS))
    ground = _colour(rng, LEVELS[order[0]], GROUND_CHROMA)
    pairs = np.array([[_colour(rng, LEVELS[level], CHROMA) for level in rng.permutation(order[1:])] for _ in range(objects)])
    return Palette(ground, pairs)


def tint(chroma: float, hue: float) -> np.ndarray:
    """What a colour difference of this strength and hue (radians) adds to red, green and blue; no brightness (ITU-R BT.601)."""
    blue, red = chroma * math.cos(hue), chroma * math.sin(hue)
    return np.array([1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue])


def _colour(rng: Generator, level: tuple[float, float], chroma: tuple[float, float]) -> np.ndarray:
    light = rng.uniform(*level)
    shift = tint(rng.uniform(*chroma), rng.uniform(0.0, 2.0 * math.pi))
    # paler, where a strong colour could not be as dark or as bright as this
    scale = min(1.0, (_HIGHEST - light) / shift.max(), (_LOWEST - light) / shift.min())
    return light + scale * shift
