"""What the device may still be reading: it is let go when an event behind its last use has passed, and not before."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dataio.stream.device.device import Event
from dataio.stream.meter import Meter

Span = tuple[str, Event, Event]
"""A stage, and the moments at which the device began and ended it."""


@dataclass(frozen=True)
class _Batch:
    ready: Event
    done: Callable[[], None]
    spans: Sequence[Span]


class Retired:
    """Batches that were made, oldest first, with whatever they were made from."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._batches: deque[_Batch] = deque()

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, ready: Event, done: Callable[[], None], spans: Sequence[Span] = ()) -> None:
        """Call `done`, and forget what it holds, once `ready` has passed. spans: what to tell the meter then."""
        self._batches.append(_Batch(ready, done, spans))

    def sweep(self, keep: int) -> None:
        """Let go of the batches that have passed, and wait for all but the newest `keep`."""
        while self._batches:
            if len(self._batches) > keep:
                self._batches[0].ready.wait()
            elif not self._batches[0].ready.passed():
                return
            batch = self._batches.popleft()
            batch.done()
            for stage, begin, end in batch.spans:
                self._meter.add(stage, end.since(begin))
