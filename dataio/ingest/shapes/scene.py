"""Pictures of several objects, with the class of every pixel."""

import math

import numpy as np
from numpy.random import Generator

from dataio.ingest.shapes.colours import draw_palette
from dataio.ingest.shapes.ground import ground
from dataio.ingest.shapes.picture import SPLITS, developed, generator
from dataio.ingest.shapes.thing import CLASSES, Thing, draw_thing, paint

FEWEST, MOST = 3, 5

DIAMETERS = (0.22, 0.30)
"""Range of an object's diameter as a share of the side."""

OVERLAP = 0.15
"""How deep the circles round two objects may reach into each other, as a share of their radii together."""

_TRIES = 40  # places looked at for each object


def scene(seed: int, number: int, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Scene `number` of the set with this seed: three to five objects of different classes, which hardly hide each other.

    Returns:
        (size, size, 3) uint8 RGB, and (size, size) uint8: 0 where the background is seen, 1 + class id where an object is.
    """
    rng = generator(seed, len(SPLITS), number)
    class_ids = rng.permutation(len(CLASSES))[: rng.integers(FEWEST, MOST + 1)]
    palette = draw_palette(rng, len(class_ids))
    pixels, classes = ground(rng, palette.ground, size), np.zeros((size, size), np.uint8)
    for thing, colours in zip(_placed(rng, class_ids.tolist()), palette.objects, strict=True):
        paint(thing, colours, pixels, classes)
    return developed(rng, pixels), classes


def _placed(rng: Generator, class_ids: list[int]) -> list[Thing]:
    """An object of each class, each where it is clear of those before, or as clear as any of the places looked at."""
    placed: list[Thing] = []
    for class_id in class_ids:
        best, clear = None, -math.inf
        for _ in range(_TRIES):
            thing = draw_thing(rng, class_id, DIAMETERS)
            gap = min((_gap(thing, other) for other in placed), default=0.0)
            if gap > clear:
                best, clear = thing, gap
            if clear >= -OVERLAP:
                break
        assert best is not None
        placed.append(best)
    return placed


def _gap(one: Thing, other: Thing) -> float:
    """Between the circles round two objects, as a share of their radii together; negative where they overlap."""
    return math.hypot(one.x - other.x, one.y - other.y) / (one.radius + other.radius) - 1.0
