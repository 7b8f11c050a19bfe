"""Who reads what, when: the order of one epoch of one set, as a pure function of (fingerprint, seed, epoch).

An epoch permutes the shards, takes them a window of a few at a time, and shuffles the clips within each window. So reads stay local
and mixing stays good. Ranks and batches only cut that one sequence (steps.py); none of them changes it.

Memory is O(shards). Position p of an epoch is found by a search over the windows, and costs one window.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dataio.stream.order.random import key, permutation


@dataclass(frozen=True)
class Epoch:
    """The sequence of one epoch.

    first_clip: (shards + 1,) the global id of every shard's first clip. shards: rows taken part, in this epoch's order.
    edges: (windows + 1,) the epoch's position at which each window begins. window: shards a window.
    """

    stream: int
    window: int
    first_clip: np.ndarray
    shards: np.ndarray
    edges: np.ndarray

    def __len__(self) -> int:
        return int(self.edges[-1])

    def clips(self, positions: np.ndarray) -> np.ndarray:
        """Global clip ids at these positions of the epoch: (n,) int64."""
        positions = np.asarray(positions, np.int64)
        which = np.searchsorted(self.edges, positions, side="right") - 1
        out = np.empty(len(positions), np.int64)
        for w in np.unique(which):
            chosen = which == w
            out[chosen] = _window(self, int(w))[positions[chosen] - self.edges[w]]
        return out

    def window_shards(self, position: int) -> np.ndarray:
        """Rows of the shards that the window at this position reads."""
        w = int(np.searchsorted(self.edges, position, side="right")) - 1
        return self.shards[w * self.window : (w + 1) * self.window]

    def __hash__(self) -> int:
        return hash((self.stream, self.window, len(self.first_clip), len(self.shards)))

    def __eq__(self, other: object) -> bool:
        return self is other


@lru_cache(maxsize=4)
def _window(epoch: Epoch, w: int) -> np.ndarray:
    """Global ids of the clips of a window, shuffled."""
    shards = epoch.shards[w * epoch.window : (w + 1) * epoch.window]
    ids = np.concatenate([np.arange(epoch.first_clip[s], epoch.first_clip[s + 1]) for s in shards])
    return ids[permutation(key(epoch.stream, "window", w), len(ids))]


def plan(
    first_clip: np.ndarray, shards: np.ndarray, fingerprint: str, seed: int, epoch: int, window: int, shuffle: bool = True
) -> Epoch:
    """The sequence of an epoch over these shards of a set.

    Args:
        first_clip: (shards of the set + 1,) global id of every shard's first clip.
        shards: rows that take part (those of a split).
        window: shards whose clips are shuffled together.
        shuffle: False keeps the order of the shards (a window of one shard is still mixed as it was written).
    """
    stream = key(fingerprint, seed, epoch)
    rows = shards[permutation(key(stream, "shards"), len(shards))] if shuffle else np.asarray(shards)
    sizes = first_clip[rows + 1] - first_clip[rows]
    starts = np.arange(0, len(rows), window)
    counts = np.add.reduceat(sizes, starts) if len(rows) else np.zeros(0, np.int64)
    return Epoch(stream, window, first_clip, rows, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]))
