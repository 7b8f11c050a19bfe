"""What a store is doing right now, for a watchdog, and what it has done, for a report."""

import time
from collections import Counter
from threading import Lock
from typing import NamedTuple


class Pending(NamedTuple):
    """A read that is under way. shard: name. offset: first byte. seconds: since it began."""

    shard: str
    offset: int
    seconds: float


class Traffic:
    """Counts, notes, and the reads under way. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._notes: dict[str, None] = {}
        self._reads: dict[int, tuple[str, int, float]] = {}
        self._next = 0

    def add(self, **counts: int) -> None:
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count

    def retry(self) -> None:
        self.add(retries=1)

    def note(self, text: str) -> bool:
        """Keep a sentence for the report; whether it is new."""
        with self._lock:
            new = text not in self._notes
            self._notes[text] = None
            return new

    def reading(self, shard: str, offset: int) -> "_Reading":
        """A context in which this read counts as under way."""
        return _Reading(self, shard, offset)

    def pending(self) -> list[Pending]:
        """The reads under way, the oldest first."""
        now = time.monotonic()
        with self._lock:
            reads = list(self._reads.values())
        return [Pending(shard, offset, now - since) for shard, offset, since in sorted(reads, key=lambda read: read[2])]

    def count(self, name: str) -> int:
        with self._lock:
            return self._counts[name]

    def notes(self) -> list[str]:
        with self._lock:
            return list(self._notes)

    def _begin(self, shard: str, offset: int) -> int:
        with self._lock:
            self._next += 1
            self._reads[self._next] = (shard, offset, time.monotonic())
            return self._next

    def _end(self, token: int) -> None:
        with self._lock:
            del self._reads[token]


class _Reading:
    """One read under way."""

    def __init__(self, traffic: Traffic, shard: str, offset: int) -> None:
        self._traffic, self._shard, self._offset = traffic, shard, offset

    def __enter__(self) -> None:
        self._token = self._traffic._begin(self._shard, self._offset)

    def __exit__(self, *_: object) -> None:
        self._traffic._end(self._token)
