"""The order of the whole stream: one set or several, each in its own order (epoch.py), interleaved in exact shares (quota.py).

A source goes through its own sequence without end: epoch after epoch of its own, whatever its share of the stream. So with shares
a small set may come round many times in an epoch of the stream while a large one is not yet through, and no clip is given twice
before all of its set were given once. A position of the stream is turned into a turn of a source and that into a clip, from (epoch,
position) alone: there is nothing to remember and nothing to restore.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

import numpy as np

from dataio.stream.order.epoch import Epoch, plan
from dataio.stream.order.quota import Quota, share_out

_PLANS = 3  # epochs kept of every set: the one being read, the one before (its last batches are under way), the one being fetched


@dataclass(frozen=True, eq=False)
class Source:
    """One set. fingerprint: of its manifest. first_clip: (shards of the set + 1,) id of every shard's first clip.
    shards: rows that take part.
    """

    fingerprint: str
    first_clip: np.ndarray
    shards: np.ndarray

    @cached_property
    def clips(self) -> int:
        """Clips of the shards that take part."""
        return int(self._sizes.sum())

    @cached_property
    def readable(self) -> int:
        """Shards that take part and hold anything."""
        seen = np.zeros(len(self.first_clip), bool)
        seen[np.asarray(self.shards, np.int64)[self._sizes > 0]] = True
        return int(seen.sum())

    @property
    def _sizes(self) -> np.ndarray:
        rows = np.asarray(self.shards, np.int64)
        return self.first_clip[rows + 1] - self.first_clip[rows]


@dataclass(frozen=True)
class Places:
    """Where clips stand: source (n,) int64; turn (n,) int64, the place in that source's own endless sequence."""

    source: np.ndarray
    turn: np.ndarray


@dataclass(frozen=True, eq=False)
class Window:
    """Clips of a source that are shuffled together. epoch: of the source. number: of the window in it. shards: their rows."""

    source: int
    epoch: int
    number: int
    shards: np.ndarray
    _plan: Epoch = field(repr=False)

    @property
    def name(self) -> tuple[int, int, int]:
        """For a cache: two windows of one order are the same if their names are."""
        return self.source, self.epoch, self.number

    @property
    def ids(self) -> np.ndarray:
        """Ids of its clips within the set, in order: (n,) int64, read-only."""
        return self._plan.window_clips(self.number)


class Order:
    """Which clip stands where. Safe to use from several threads. Memory is O(shards).

    Of the first p positions of an epoch, source i has p · counts[i] / len(self), give or take `quota.STRAY` clips.

    counts: (sources,) int64, clips of each source in every epoch of the stream.

    Args:
        sources: the sets; the stream's epoch is as long as all of them together.
        seed, window, shuffle: see `epoch.plan`.
        shares: of the stream, one for each source, in any unit; None: all clips of every source, each once an epoch.

    Raises:
        ValueError: shares that cannot be, of a source without clips, or the same shard in two sources.
    """

    def __init__(
        self, sources: Sequence[Source], *, seed: int, window: int, shuffle: bool = True, shares: Sequence[float] | None = None
    ) -> None:
        if window < 1:
            raise ValueError(f"window={window} must be at least 1")
        if shares is not None and len(shares) != len(sources):
            raise ValueError(f"shares {list(shares)}: {len(sources)} are needed, one for each set")
        _distinct(sources)
        self.sources = tuple(sources)
        self._clips = [source.clips for source in sources]
        counts = self._clips if shares is None else share_out(sum(self._clips), shares)
        if empty := [i for i, count in enumerate(counts) if count and not self._clips[i]]:
            raise ValueError(f"shares {list(shares or ())}: set {empty[0]} has no clips to give")
        self.counts = np.array(counts, np.int64)
        self._quota = Quota(counts)
        # two threads that ask at once may plan twice; they get equal plans
        self._plans = [
            lru_cache(_PLANS)(partial(_plan, source, seed=seed, window=window, shuffle=shuffle)) for source in self.sources
        ]

    def __len__(self) -> int:
        return self._quota.total

    def places(self, epoch: int, positions: np.ndarray) -> Places:
        """What stands at these positions of an epoch of the stream, each from 0 to len(self) − 1.

        Source i has its turns epoch · counts[i] … (epoch + 1) · counts[i] − 1 in this epoch, in order.
        """
        source, before = self._quota.places(positions)
        return Places(source, epoch * self.counts[source] + before)

    def clips(self, source: int, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The source's own epoch and the clip's id within the set, at each of its turns: two (n,) int64."""
        epochs, positions = np.divmod(np.asarray(turns, np.int64), self._clips[source])
        ids = np.empty(len(epochs), np.int64)
        for epoch in np.unique(epochs).tolist():
            chosen = epochs == epoch
            ids[chosen] = self._plans[source](epoch).clips(positions[chosen])
        return epochs, ids

    def window(self, source: int, turn: int) -> Window:
        """The window of a source that holds this turn."""
        epoch, position = divmod(int(turn), self._clips[source])
        plan = self._plans[source](epoch)
        number = plan.number(position)
        return Window(source, epoch, number, plan.window_rows(number), plan)

    def shards_ahead(self, epoch: int, position: int, count: int, epochs: int | None = None) -> list[tuple[int, int]]:
        """The next `count` (source, shard row) that the stream reads from this position on, each once, into the next epochs.

        Window by window, in the order in which the stream comes to them; those of one window are wanted within a few clips of each
        other. Fewer where there are no more shards. epochs: how many there are, counted from 0; None: no end.

        Costs O(count + sources), and one window of each source.
        """
        found: dict[tuple[int, int], None] = {}
        left = [source.readable for source in self.sources]
        nexts = []
        for i, taken in enumerate(self._quota.taken(position)):
            if self.counts[i]:
                turn = epoch * int(self.counts[i]) + taken
                nexts.append((self._when(i, turn), i, turn))
        heapq.heapify(nexts)
        while nexts and len(found) < count:
            at, i, turn = heapq.heappop(nexts)
            if epochs is not None and at >= epochs * len(self):
                break
            rows, turn = self._rows(i, turn)
            for row in rows:
                if (i, row) not in found:
                    found[i, row] = None
                    left[i] -= 1
            if left[i]:
                heapq.heappush(nexts, (self._when(i, turn), i, turn))
        return list(found)[:count]

    def _rows(self, source: int, turn: int) -> tuple[list[int], int]:
        """Rows that the rest of a window needs, in the order of need, and the turn at which the next window begins."""
        epoch, position = divmod(turn, self._clips[source])
        plan = self._plans[source](epoch)
        number = plan.number(position)
        begin, end = plan.edges[number : number + 2].tolist()
        first = self.sources[source].first_clip
        if position == begin:  # the order within an untouched window is not worth shuffling it
            rows = plan.window_rows(number)
            rows = rows[first[rows + 1] > first[rows]]
        else:
            needed = np.searchsorted(first, plan.window_clips(number)[position - begin :], side="right") - 1
            rows = needed[np.sort(np.unique(needed, return_index=True)[1])]
        return rows.tolist(), turn + end - position

    def _when(self, source: int, turn: int) -> int:
        """The position at which a source has this turn, counted from the beginning of epoch 0."""
        epoch, before = divmod(turn, int(self.counts[source]))
        return epoch * len(self) + self._quota.position(source, before)


def _plan(source: Source, epoch: int, *, seed: int, window: int, shuffle: bool) -> Epoch:
    return plan(source.first_clip, source.shards, source.fingerprint, seed, epoch, window, shuffle)


def _distinct(sources: Sequence[Source]) -> None:
    for i, one in enumerate(sources):
        for j, other in enumerate(sources[:i]):
            if one.fingerprint == other.fingerprint and len(np.intersect1d(one.shards, other.shards)):
                raise ValueError(f"sets {j} and {i} are the same, or share shards: give one of them a larger share instead")
