"""Colours by brightness and hue, drawn without regard to what they colour."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

GROUND = (120.0, 135.0)
"""Range of the ground's brightness."""

DARK, BRIGHT = (50.0, 70.0), (185.0, 205.0)
"""Ranges of brightness of an object's two colours: edges are seen in grey as well, and brightness hardly tells pictures apart."""

CHROMA = (10.0, 45.0)
"""Range of colour strength, of the ground too. Hues are anything: a nuisance, which augmentation can take away."""

_LOWEST, _HIGHEST = 6.0, 249.0


@dataclass(frozen=True)
class Palette:
    """Colours as (3,) float64 RGB, 0 … 255: of the ground, and of the two parts of each object's texture, (objects, 2, 3)."""

    ground: np.ndarray
    objects: np.ndarray


def draw_palette(rng: Generator, objects: int) -> Palette:
    """Colours for a picture of this many objects: hues over the whole circle, and of each object either colour the brighter."""
    ground = _colour(rng, GROUND)
    orders = ((DARK, BRIGHT), (BRIGHT, DARK))
    pairs = np.array([[_colour(rng, level) for level in orders[rng.integers(2)]] for _ in range(objects)])
    return Palette(ground, pairs)


def tint(chroma: float, hue: float) -> np.ndarray:
    """What a colour difference of this strength and hue (radians) adds to red, green and blue; no brightness (ITU-R BT.601)."""
    blue, red = chroma * math.cos(hue), chroma * math.sin(hue)
    return np.array([1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue])


def _colour(rng: Generator, level: tuple[float, float]) -> np.ndarray:
    light = rng.uniform(*level)
    shift = tint(rng.uniform(*CHROMA), rng.uniform(0.0, 2.0 * math.pi))
    # paler, where a strong colour could not be as dark or as bright as this
    scale = min(1.0, (_HIGHEST - light) / shift.max(), (_LOWEST - light) / shift.min())
    return light + scale * shift
