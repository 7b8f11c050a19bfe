"""Who is reading what, and since when, so that a read that hangs can be named.

It costs a read two assignments and no lock, as every thread writes to a place of its own.
"""

import time
from collections.abc import Callable

from dataio.stream.meter.threads import PerThread

_Read = tuple[str, str, int, float]


class _Slot:
    """What one thread is reading, or None."""

    __slots__ = ("read",)

    def __init__(self) -> None:
        self.read: _Read | None = None


class Watch:
    """The reads under way. Safe to use from any number of threads. now: clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._slots: PerThread[_Slot] = PerThread(_Slot, lambda _group, _slot: None)
        self.mine = self._slots.mine

    def reading(self, text: str, shard: str = "", offset: int = 0) -> "Reading":
        """A `with` block in which the calling thread reads. text: where from. offset: byte of the shard. Blocks may be nested."""
        return Reading(self, text, shard, offset)

    def stalled(self, deadline: float) -> tuple[str, float] | None:
        """The oldest read that has taken more than `deadline` seconds: what it reads, and seconds; None where all is well."""
        now = self.now()
        reads = [slot.read for _, slot in self._slots.every()]
        old = [read for read in reads if read is not None and now - read[3] > deadline]
        if not old:
            return None
        text, shard, offset, since = min(old, key=lambda read: (read[3], read))
        return (f"{text}: {shard} at byte {offset}" if shard else text), now - since


class Reading:
    """One read under way; see `Watch.reading`."""

    __slots__ = ("_before", "_slot", "_watch", "_what")

    def __init__(self, watch: Watch, text: str, shard: str, offset: int) -> None:
        self._watch, self._what = watch, (text, shard, offset)

    def __enter__(self) -> None:
        self._slot = self._watch.mine()
        self._before = self._slot.read
        self._slot.read = (*self._what, self._watch.now())

    def __exit__(self, *_: object) -> None:
        self._slot.read = self._before
