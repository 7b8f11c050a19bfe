"""Who reads what, when: the order of one epoch of one set, as a pure function of (fingerprint, seed, epoch).

An epoch permutes the shards, takes them a window of a few at a time, and shuffles the clips within each window. So reads stay local
and mixing stays good. Ranks and batches only cut that one sequence (steps.py); none of them changes it.

Memory is O(shards). Position p of an epoch is found by a search over the windows, and costs one window.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np

from dataio.stream.order.random import key, permutation

_KEPT = 8  # shuffled windows an epoch keeps at hand: those that batches under way touch


@dataclass(frozen=True, eq=False)
class Epoch:
    """The sequence of one epoch. Safe to use from several threads.

    first_clip: (shards + 1,) the global id of every shard's first clip. shards: rows taken part, in this epoch's order.
    edges: (windows + 1,) the epoch's position at which each window begins. window: shards a window. shuffle: its clips.
    """

    stream: int
    window: int
    first_clip: np.ndarray
    shards: np.ndarray
    edges: np.ndarray
    shuffle: bool = True
    _shuffled: Callable[[int], np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # bound to the columns, not to `self`: a cycle would keep the arrays of a million shards until the collector comes round
        shuffled = lru_cache(_KEPT)(
            partial(_shuffle, self.stream if self.shuffle else None, self.window, self.first_clip, self.shards)
        )
        object.__setattr__(self, "_shuffled", shuffled)

    def __len__(self) -> int:
        return int(self.edges[-1])

    def clips(self, positions: np.ndarray) -> np.ndarray:
        """Global clip ids at these positions of the epoch: (n,) int64."""
        positions = np.asarray(positions, np.int64)
        which = np.searchsorted(self.edges, positions, side="right") - 1
        out = np.empty(len(positions), np.int64)
        for w in np.unique(which).tolist():
            chosen = which == w
            out[chosen] = self._shuffled(w)[positions[chosen] - self.edges[w]]
        return out

    def number(self, position: int) -> int:
        """Number of the window at this position."""
        return int(np.searchsorted(self.edges, position, side="right")) - 1

    def window_clips(self, number: int) -> np.ndarray:
        """Global ids of the clips of a window, in order; read-only."""
        return self._shuffled(number)

    def window_rows(self, number: int) -> np.ndarray:
        """Rows of the shards of a window."""
        return self.shards[number * self.window : (number + 1) * self.window]

    def window_shards(self, position: int) -> np.ndarray:
        """Rows of the shards that the window at this position reads."""
        return self.window_rows(self.number(position))


def _shuffle(stream: int | None, window: int, first_clip: np.ndarray, shards: np.ndarray, w: int) -> np.ndarray:
    """Global ids of the clips of a window, shuffled, or as they lie where there is no stream of numbers."""
    rows = shards[w * window : (w + 1) * window]
    ids = np.concatenate([np.arange(first_clip[s], first_clip[s + 1]) for s in rows])
    if stream is not None:
        ids = ids[permutation(key(stream, "window", w), len(ids))]
    ids.flags.writeable = False  # shared by all who ask
    return ids


def plan(
    first_clip: np.ndarray, shards: np.ndarray, fingerprint: str, seed: int, epoch: int, window: int, shuffle: bool = True
) -> Epoch:
    """The sequence of an epoch over these shards of a set.

    Args:
        first_clip: (shards of the set + 1,) global id of every shard's first clip.
        shards: rows that take part (those of a split).
        window: shards whose clips are shuffled together.
        shuffle: False keeps the order of the shards, and of their clips as they were written.
    """
    stream = key(fingerprint, seed, epoch)
    rows = shards[permutation(key(stream, "shards"), len(shards))] if shuffle else np.asarray(shards)
    sizes = first_clip[rows + 1] - first_clip[rows]
    starts = np.arange(0, len(rows), window)
    counts = np.add.reduceat(sizes, starts) if len(rows) else np.zeros(0, np.int64)
    return Epoch(stream, window, first_clip, rows, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), shuffle)
