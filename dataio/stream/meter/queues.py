"""How many clips wait before each kind of thread, sampled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import RLock


@dataclass
class Level:
    """Samples of one queue. total: sum of the lengths. empty: samples that found nothing in it."""

    samples: int = 0
    total: float = 0.0
    empty: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.samples

    @property
    def empty_share(self) -> float:
        return self.empty / self.samples


@dataclass
class Queues:
    """By name of the threads that take from it. A few samples a second, from any thread."""

    _levels: dict[str, Level] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock, repr=False)

    def sample(self, lengths: Mapping[str, float]) -> None:
        with self._lock:
            for name, length in lengths.items():
                level = self._levels.setdefault(name, Level())
                level.samples, level.total, level.empty = level.samples + 1, level.total + length, level.empty + (length <= 0)

    def levels(self) -> dict[str, Level]:
        """Copies, by name."""
        with self._lock:
            return {name: Level(x.samples, x.total, x.empty) for name, x in sorted(self._levels.items())}
