"""Which pictures a step trains on: a pure function of (seed, how many pictures were seen before).

The pictures come as one endless sequence: epoch after epoch, each a permutation of all of them. A step takes the next ones, and may
end one epoch and begin the next, so no picture is ever left out. Processes cut a step's pictures into runs of equal length; the
sequence knows nothing of them. So the state of the order is one number, and a training goes on with it on any number of processes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dataio.stream.order.random import draw, key, permutation


@dataclass(frozen=True)
class Place:
    """A picture in the sequence: `index` within the set, in `epoch`; `mirror`: whether it is mirrored there."""

    epoch: int
    index: int
    mirror: bool


def place(seen: int, pictures: int, seed: int, *, flip: float = 0.5) -> Place:
    """The picture that comes after `seen` others, of a set of so many."""
    epoch, at = divmod(seen, pictures)
    index = int(_epoch(seed, epoch, pictures)[at])
    chance = int(draw(key(seed, epoch, "mirror"), np.array([index]))[0]) / 2**64
    return Place(epoch, index, chance < flip)


def places(seen: int, pictures: int, seed: int, *, batch: int, rank: int, world: int, flip: float = 0.5) -> Iterator[Place]:
    """What a process reads from there on, for ever, `batch` pictures a step.

    Args:
        seen: pictures that all processes have seen before.
        batch: pictures of one process in a step.
    """
    while True:
        for at in range(rank * batch, (rank + 1) * batch):
            yield place(seen + at, pictures, seed, flip=flip)
        seen += batch * world


@lru_cache(maxsize=4)
def _epoch(seed: int, epoch: int, pictures: int) -> np.ndarray:
    """(pictures,) int64: a million take a tenth of a second, so once an epoch."""
    return permutation(key(seed, epoch, "coco"), pictures)
