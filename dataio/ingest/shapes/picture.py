"""One picture of one object, a pure function of its seed, split and number."""

import math

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from dataio.ingest.shapes.colours import draw_palette
from dataio.ingest.shapes.ground import ground
from dataio.ingest.shapes.thing import CLASSES, draw_thing, paint

SPLITS = ("train", "val")

DIAMETERS = (0.52, 0.68)
"""Range of an object's diameter as a share of the side; a disc is as wide as this, a star half as much again. So most crops of a
picture hold a good part of its object."""

SHADING = 0.08  # of the brightness, from the middle to a side
NOISE = (1.5, 4.0)  # standard deviation in grey levels


def picture(seed: int, split: str, number: int, size: int = 96) -> tuple[np.ndarray, int]:
    """Picture `number` of a split of the set with this seed: (size, size, 3) uint8 RGB, and its class id, a row of `CLASSES`.

    Any run of numbers is balanced. Nothing else about a picture depends on its class but the outline and
    the texture of its object.

    Raises:
        ValueError: no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is not allowed: the splits are {', '.join(SPLITS)}")
    rng = generator(seed, SPLITS.index(split), number)
    class_id = class_of(number)
    palette = draw_palette(rng, 1)
    pixels = ground(rng, palette.ground, size)
    paint(draw_thing(rng, class_id, DIAMETERS), palette.objects[0], pixels, np.zeros((size, size), np.uint8))
    return developed(rng, pixels), class_id


def class_of(number: int) -> int:
    """Class id of a picture: the classes take turns."""
    return number % len(CLASSES)


def generator(seed: int, stream: int, number: int) -> Generator:
    """The random numbers of a picture: those of two streams (a split, or the scenes) have nothing in common."""
    return Generator(PCG64(SeedSequence(seed, spawn_key=(stream, number))))


def developed(rng: Generator, pixels: np.ndarray) -> np.ndarray:
    """A painted picture (size, size, 3) as a camera sees it: unevenly lit, with a little noise; uint8."""
    size = len(pixels)
    strength, angle = rng.uniform(0.0, SHADING), rng.uniform(0.0, 2.0 * math.pi)
    side = (2.0 * np.arange(size) + 1.0) / size - 1.0
    light = 1.0 + strength * (math.cos(angle) * side[None, :] + math.sin(angle) * side[:, None])
    noise = rng.uniform(*NOISE) * rng.standard_normal(pixels.shape, np.float32)
    seen: np.ndarray = np.clip(np.rint(pixels * light[:, :, None] + noise), 0, 255).astype(np.uint8)
    return seen
