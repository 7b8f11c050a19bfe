"""Who reads what, when: the order of an epoch, and every random choice, as pure functions of (fingerprint, seed, epoch, clip).

An epoch permutes the shards, takes them a window of a few at a time, and shuffles the clips within each window. So reads stay local
and mixing stays good. Ranks and batches only cut that one sequence; none of them changes it. Everything rests on SplitMix64
(Steele, Lea and Flood 2014), so the order does not depend on the version of any library.

Memory is O(shards). Position p of an epoch is found by a search over the windows, and costs one window.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

LastBatch = Literal["drop", "pad", "partial"]
LAST_BATCH: tuple[LastBatch, ...] = ("drop", "pad", "partial")

_U64 = np.uint64
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's output function on uint64: a bijection whose results look random."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> _U64(27))) * _U64(0x94D049BB133111EB)
        return x ^ (x >> _U64(31))


def key(*parts: int | str) -> int:
    """A 64-bit key from words and numbers."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def draw(stream: int, numbers: np.ndarray) -> np.ndarray:
    """One 64-bit random number for each of `numbers`, from the stream with this key: (n,) uint64."""
    with np.errstate(over="ignore"):
        return mix(mix(numbers.astype(np.uint64) * _U64(_GOLDEN) + _U64(stream)) + _U64(stream ^ _GOLDEN))


def below(stream: int, numbers: np.ndarray, bound: int | np.ndarray) -> np.ndarray:
    """A uniform integer in [0, bound) for each of `numbers`: (n,) int64. The bias is below bound / 2³²."""
    return ((draw(stream, numbers) >> _U64(32)) * np.asarray(bound, np.uint64) >> _U64(32)).astype(np.int64)


def permutation(stream: int, n: int) -> np.ndarray:
    """A permutation of 0 … n − 1, (n,) int64: the numbers sorted by what `draw` gives them."""
    return np.argsort(draw(stream, np.arange(n)), kind="stable")


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
