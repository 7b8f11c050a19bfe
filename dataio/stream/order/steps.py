"""How ranks and batches cut the sequence of an epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

LastBatch = Literal["drop", "pad", "partial"]
LAST_BATCH: tuple[LastBatch, ...] = ("drop", "pad", "partial")


def steps(clips: int, batch: int, world: int, last: LastBatch) -> int:
    """Batches that each rank gets from `clips` clips: the same number on all ranks."""
    return clips // (batch * world) if last == "drop" else -(-clips // (batch * world))


def cut(clips: int, position: int, batch: int, rank: int, world: int, last: LastBatch) -> np.ndarray:
    """Positions of one rank's batch in the step that begins at `position` of an epoch of `clips` clips: (≤ batch,) int64.

    The step takes batch × world positions in a row; rank r takes the r-th run of them. At the end, `drop` leaves an incomplete
    step out (no positions), `pad` fills it up from the beginning of the epoch, and `partial` gives what there is, maybe nothing.
    """
    if last == "drop" and position + batch * world > clips:
        return np.zeros(0, np.int64)
    low = position + rank * batch
    positions = np.arange(low, low + batch, dtype=np.int64)
    return positions % clips if last == "pad" else positions[positions < clips]


@dataclass(frozen=True)
class Step:
    """One step of all ranks. begin, end: positions of the epoch before and after it. positions: those of this rank."""

    epoch: int
    begin: int
    end: int
    positions: np.ndarray


def walk(
    clips: int, batch: int, rank: int, world: int, last: LastBatch, epoch: int, position: int, epochs: int | None
) -> Iterator[Step]:
    """The steps of one rank from a position of an epoch on, through all epochs that follow."""
    if not steps(clips, batch, world, last):
        return
    while epochs is None or epoch < epochs:
        while begins(clips, position, batch * world, last):
            end = min(position + batch * world, clips)
            yield Step(epoch, position, end, cut(clips, position, batch, rank, world, last))
            position = end
        epoch, position = epoch + 1, 0


def begins(clips: int, position: int, stride: int, last: LastBatch) -> bool:
    """Whether a step of `stride` clips over all ranks begins at this position of an epoch."""
    return position < clips and (last != "drop" or position + stride <= clips)
