"""How well a set is mixed: how often a batch holds two clips of one recording, and how many recordings there really are in a shard.

Everything here works on counts: `counts[r]`, clips of recording r in a shard, in a window of shards, or in a whole split. Among b
clips drawn without replacement from N, the expected number of pairs that share their recording is

    b (b − 1) / 2 · Σ counts (counts − 1) / (N (N − 1)).

Where there are fewer clips than a batch takes, it goes on with the next ones, and the number is what it would hold at that rate.
The effective number of recordings is the inverse of Simpson's index, 1 / Σ (counts / N)² (Simpson 1949; Hill 1973): R recordings of
equal share count as R, one that dominates as little more than one.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

BATCH = 32  # clips, of a contrastive batch on one card
WINDOW = 8  # shards that the loader shuffles together by default

K = TypeVar("K", bound=Hashable)  # a recording, or a class


@dataclass(frozen=True)
class Mixing:
    """How well one split is mixed.

    shards: looked into. pairs_*: expected pairs of one recording in a batch that is drawn from one recording, one shard, one
    window, the whole split. recordings_*: effective number of recordings in a shard or window; perfect_*: what as many clips of
    a perfect shuffle would hold; most_*: what they could hold at best. All are means over the clips, so that a large shard counts
    for more. recordings: of the split.
    """

    split: str
    batch: int
    window: int
    shards: int
    recordings: int
    pairs_sorted: float
    pairs_shard: float
    pairs_window: float
    pairs_perfect: float
    recordings_shard: float
    perfect_shard: float
    most_shard: float
    recordings_window: float
    perfect_window: float
    most_window: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def same_pairs(counts: np.ndarray, batch: int = BATCH) -> float:
    """Expected pairs of one recording in a batch drawn from these clips without replacement; 0 for fewer than two clips.

    Args:
        counts: (recordings,) clips of each.
    """
    c = np.asarray(counts, np.float64)
    n = c.sum()
    if n < 2:
        return 0.0
    return float(batch * (batch - 1) / 2 * (c * (c - 1)).sum() / (n * (n - 1)))


def effective(counts: np.ndarray) -> float:
    """Effective number of recordings among these clips: 1 / Σ p²; 0 for no clips."""
    c = np.asarray(counts, np.float64)
    n = c.sum()
    return float(n * n / (c * c).sum()) if n else 0.0


def most_possible(clips: int, recordings: int) -> float:
    """The effective number of recordings among `clips` clips that are spread over `recordings` as evenly as whole clips allow."""
    if not clips or not recordings:
        return 0.0
    each, more = divmod(clips, recordings)
    return clips * clips / (more * (each + 1) ** 2 + (recordings - more) * each**2)


def shuffled(clips: int, whole: np.ndarray) -> float:
    """The effective number of recordings among `clips` clips drawn from `whole` without replacement: 1 over the mean of Σ p².

    Below the most possible even where every recording has its share: chance deals unevenly.
    """
    return 1 / (1 / clips + (1 - 1 / clips) * same_pairs(whole, 2)) if clips else 0.0


def together(shards: Sequence[Mapping[K, int]]) -> dict[K, int]:
    """Clips of each recording in several shards, from {recording: clips} of each."""
    total: dict[K, int] = {}
    for shard in shards:
        for recording, clips in shard.items():
            total[recording] = total.get(recording, 0) + clips
    return total


def windows(shards: Sequence[Mapping[K, int]], window: int) -> list[dict[K, int]]:
    """Clips of each recording in each run of `window` shards; an incomplete last run only where there is no other."""
    ends = range(window, len(shards) + 1, window) or [len(shards)]
    return [together(shards[max(0, end - window) : end]) for end in ends if end]


def mixing(split: str, shards: Sequence[Mapping[int, int]], whole: np.ndarray, batch: int = BATCH, window: int = WINDOW) -> Mixing:
    """How well a split is mixed.

    An epoch permutes the shards before it cuts windows (`stream/order/epoch.py`). So a random sample of them in random order, cut
    in the same way, gives windows as an epoch's are, and unbiased means.

    Args:
        shards: {recording: clips} of the shards looked into, in random order.
        whole: (recordings,) clips of each recording in the whole split.
        batch: clips. window: shards shuffled together.

    Raises:
        ValueError: no shards, or a batch or window smaller than one.
    """
    if not shards or batch < 1 or window < 1:
        raise ValueError(f"mixing of {len(shards)} shards, batch {batch}, window {window}: each must be at least 1")
    whole = np.asarray(whole)[np.asarray(whole) > 0]
    single = [_counts(shard) for shard in shards]
    joined = [_counts(each) for each in windows(shards, window)]
    return Mixing(
        split=split,
        batch=batch,
        window=min(window, len(shards)),
        shards=len(shards),
        recordings=len(whole),
        pairs_sorted=batch * (batch - 1) / 2,
        pairs_shard=_mean(lambda c: same_pairs(c, batch), single),
        pairs_window=_mean(lambda c: same_pairs(c, batch), joined),
        pairs_perfect=same_pairs(whole, batch),
        recordings_shard=_mean(effective, single),
        perfect_shard=_mean(lambda c: shuffled(int(c.sum()), whole), single),
        most_shard=_mean(lambda c: most_possible(int(c.sum()), len(whole)), single),
        recordings_window=_mean(effective, joined),
        perfect_window=_mean(lambda c: shuffled(int(c.sum()), whole), joined),
        most_window=_mean(lambda c: most_possible(int(c.sum()), len(whole)), joined),
    )


def whole_split(recordings: np.ndarray, shard: np.ndarray, clips: np.ndarray, known: Mapping[int, Mapping[int, int]]) -> np.ndarray:
    """Clips of each recording in a split, from what a manifest tells and the indexes of some of its shards.

    A shard whose index was not read is taken to be spread evenly over its recordings, which is what the builder's dealing aims at.

    Args:
        recordings: (n,) recording of each (shard, recording) that the manifest names. shard: (n,) its shard, 0 … S − 1.
        clips: (S,) of each shard. known: shard → {recording: clips}, exactly.

    Returns:
        (largest recording + 1,) float64; zero for recordings of other splits.
    """
    if not len(recordings):
        return np.zeros(0)
    share = clips / np.maximum(np.bincount(shard, minlength=len(clips)), 1)
    share[list(known)] = 0.0
    total = np.bincount(recordings, weights=share[shard])
    for counts in known.values():
        for recording, count in counts.items():
            total[recording] += count
    return total


def _counts(shard: Mapping[K, int]) -> np.ndarray:
    return np.fromiter(shard.values(), np.int64, len(shard))


def _mean(value: Callable[[np.ndarray], float], parts: Sequence[np.ndarray]) -> float:
    """Mean over the clips of what holds for the part that they are in; 0 where there are no clips."""
    clips = [int(counts.sum()) for counts in parts]
    return float(np.average([value(counts) for counts in parts], weights=clips)) if any(clips) else 0.0
