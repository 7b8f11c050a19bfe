"""What one thread has measured, stage by stage, and the clock that measures it.

A clock is on the path of every clip, about twenty times. So a thread writes to its own tallies, without a lock, and whoever wants
a report adds them up; it may see a measurement half written, which is one in thousands.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from dataio.stream.meter.trace import Trace

KEPT = 1024  # the newest measurements of each stage and thread: older ones say nothing about now


class Tally:
    """Measurements of one stage: sums over all of them, and the newest KEPT themselves.

    wall, work: seconds by the wall clock and of work, which differ where processor time was measured. timed: wall seconds of those.
    bytes: where known. newest: seconds of work.
    """

    __slots__ = ("bytes", "count", "newest", "timed", "wall", "work")

    def __init__(self) -> None:
        self.count = self.bytes = 0
        self.wall = self.work = self.timed = 0.0
        self.newest: deque[float] = deque(maxlen=KEPT)

    def add(self, seconds: float, size: int = 0) -> None:
        """A measurement by the wall clock alone."""
        self.newest.append(seconds)
        self.count += 1
        self.wall += seconds
        self.work += seconds
        self.bytes += size

    def merge(self, other: "Tally") -> None:
        """Take over what another has measured."""
        self.newest.extend(other.newest)
        self.count, self.bytes = self.count + other.count, self.bytes + other.bytes
        self.wall, self.work, self.timed = self.wall + other.wall, self.work + other.work, self.timed + other.timed


class Tallies(dict[str, Tally]):
    """Of one thread, by stage."""

    def __missing__(self, stage: str) -> Tally:
        tally = self[stage] = Tally()
        return tally


class Sink(Protocol):
    """Where a clock reads the time and leaves what it measured."""

    now: Callable[[], float]
    cpu: Callable[[], float]
    mine: Callable[[], Tallies]
    trace: Trace | None


class Clock:
    """Times a `with` block as one measurement of a stage.

    cpu: whether work is what this thread computed, without its waiting for a core. bytes: that the stage took. clip, shard: global
    id and name, for the trace. The last three may be set inside the block, when they become known.
    """

    __slots__ = ("_began", "_sink", "_start", "bytes", "clip", "cpu", "shard", "stage")

    # called about twenty times a clip: what could be a function or a loop here is written out
    def __init__(self, sink: Sink, stage: str, cpu: bool, bytes: int, clip: int, shard: str) -> None:
        self._sink = sink
        self.stage = stage
        self.cpu = cpu
        self.bytes = bytes
        self.clip = clip
        self.shard = shard

    def __enter__(self) -> "Clock":
        self._start = self._sink.now()
        if self.cpu:
            self._began = self._sink.cpu()
        return self

    def __exit__(self, *_: object) -> None:
        sink = self._sink
        if self.cpu:
            ended = sink.cpu()
            end = sink.now()
            wall = end - self._start
            work = ended - self._began
            tally = sink.mine()[self.stage]
            tally.timed += wall
        else:
            end = sink.now()
            wall = work = end - self._start
            tally = sink.mine()[self.stage]
        tally.newest.append(work)
        tally.count += 1
        tally.wall += wall
        tally.work += work
        if self.bytes:
            tally.bytes += self.bytes
        if sink.trace is not None:
            spent = (self._began, ended) if self.cpu else None
            sink.trace.span(self.stage, self._start, end, cpu=spent, clip=self.clip, shard=self.shard)
