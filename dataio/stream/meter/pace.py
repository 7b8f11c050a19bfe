"""How the consumer asks for batches: how long it waits for each, and how long it works between them.

Only time in which somebody iterates is evidence. Between two iterations nobody asks, and a step that takes many times as long as
the others (a validation or a checkpoint in the middle of an epoch) holds such a pause too: the loader was not asked, so it can
neither be blamed nor praised.
"""

import statistics
from collections import deque
from dataclasses import dataclass, field

from dataio.stream.meter.clocks import Tally

_HISTORY = 8  # steps from which on there is such a thing as a usual one
_UNUSUAL = 10.0  # times the usual step
_LONG = 1.0  # seconds below which no step is a pause, or a collection of garbage among steps of a millisecond would be one


@dataclass
class Pace:
    """Asks and deliveries of one consumer, in seconds of one clock.

    batches, clips: delivered, without the first batch of all, which meets cold caches and unloaded kernels and says nothing about
    the pace; that one is in `first_seconds` (of waiting) and `first_clips`. steps, waits: of the consumer. away, pauses: seconds
    and number of pauses. ready, asks: sum of the occupancies that the asks met, and their number. late: asks that met an empty
    queue. begun: whether the first batch came.
    """

    batches: int = 0
    clips: int = 0
    first_seconds: float = 0.0
    first_clips: int = 0
    waits: Tally = field(default_factory=Tally)
    steps: Tally = field(default_factory=Tally)
    away: float = 0.0
    pauses: int = 0
    ready: float = 0.0
    asks: int = 0
    late: int = 0
    begun: bool = False
    _since: float | None = None  # the last delivery; None: before the first, and while nobody iterates
    _left: float | None = None  # when the last iteration ended
    _pending: float | None = None  # the step with which it ended: counted with the next batch, so that each batch has one
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=64))

    def delivered(self, clips: int, occupancy: float, asked: float, now: float) -> float | None:
        """A batch was asked for and came; returns the consumer's step before it, None where it did not come from one.

        occupancy: of the queue of finished batches when it was asked for, 0 … 1.
        """
        if not self.begun:
            self.begun, self._since = True, now
            self.first_seconds, self.first_clips = max(0.0, now - asked), clips
            return None
        away = False
        step = self._pending if self._since is None else max(0.0, asked - self._since)
        if self._left is not None:
            away, self.away, self.pauses = True, self.away + max(0.0, asked - self._left), self.pauses + 1
        if step is not None and self._unusual(step):
            away, step = True, self._leave(step)
        if step is not None:
            self._step(step)
        waited = max(0.0, now - asked)
        self.waits.add(waited)
        self.batches, self.clips = self.batches + 1, self.clips + clips
        if not away:  # after a pause the queue is full whatever the loader is like
            self.ready, self.asks, self.late = self.ready + occupancy, self.asks + 1, self.late + (occupancy <= 0)
        traced = asked - self._since if self._since is not None else None
        self._since, self._left, self._pending = now, None, None
        return traced

    def paused(self, now: float) -> None:
        """The iteration has ended, or was given up."""
        if self._since is not None:
            self._pending, self._left, self._since = max(0.0, now - self._since), now, None

    def _unusual(self, step: float) -> bool:
        return len(self._recent) >= _HISTORY and step > max(_LONG, _UNUSUAL * statistics.median(self._recent))

    def _leave(self, step: float) -> float:
        """Take the pause out of a step; what is left is a step as usual."""
        usual = statistics.median(self._recent)
        self.away, self.pauses = self.away + step - usual, self.pauses + 1
        return usual

    def _step(self, step: float) -> None:
        self.steps.add(step)
        self._recent.append(step)
        if self.steps.count == _HISTORY:  # the first ones were believed; the model that compiled itself meanwhile was away
            for early in [s for s in self._recent if self._unusual(s)]:
                less = early - self._leave(early)
                self.steps.wall, self.steps.work = self.steps.wall - less, self.steps.work - less

    @property
    def elapsed(self) -> float:
        """Seconds in which somebody iterated, from the first batch to the last one."""
        return self.waits.wall + self.steps.wall

    @property
    def wait_share(self) -> float:
        """Part of that time spent waiting for data."""
        return self.waits.wall / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def occupancy(self) -> float:
        """Mean occupancy of the queue of finished batches when asked, 0 … 1."""
        return self.ready / self.asks if self.asks else 0.0

    @property
    def batches_per_second(self) -> float:
        return self.batches / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def clips_per_second(self) -> float:
        return self.clips / self.elapsed if self.elapsed > 0 else 0.0
