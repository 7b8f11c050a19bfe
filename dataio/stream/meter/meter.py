"""Stage clocks of a loader, and what they say about where the time goes."""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any

from dataio.stream.meter import summary
from dataio.stream.meter.clocks import Clock, Tallies
from dataio.stream.meter.pace import Pace
from dataio.stream.meter.queues import Queues
from dataio.stream.meter.threads import PerThread
from dataio.stream.meter.trace import Trace
from dataio.stream.meter.verdict import Evidence, judge


class Meter:
    """Seconds per stage, lengths of queues, and the pace of the consumer. Safe to use from any number of threads.

    Costs about a microsecond a measurement, and memory by the number of stages and of threads alive, however long the run.

    Args:
        trace: gets every measurement too; `close` ends it.
        remote: whether reading goes over a network, which changes the advice.
        cores: that this process may use; default: as the system says.
        now, cpu: clocks of the machine and of the calling thread, in seconds.
    """

    def __init__(
        self,
        trace: Trace | None = None,
        *,
        remote: bool = False,
        cores: int | None = None,
        now: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self.trace, self.remote = trace, remote
        self.cores = len(os.sched_getaffinity(0)) if cores is None else cores
        self.now, self.cpu = now, cpu
        self.pace, self._queues = Pace(), Queues()
        self._events: Counter[str] = Counter()
        self._ended: dict[str, Tallies] = {}  # of threads that ended, by group
        self._before: summary.Sums = {}  # what had been measured when the first batch came
        self._threads: PerThread[Tallies] = PerThread(Tallies, self._fold)
        self._lock = RLock()
        self.mine = self._threads.mine

    def _fold(self, group: str, tallies: Tallies) -> None:
        ended = self._ended.setdefault(group, Tallies())
        for stage, tally in tallies.items():
            ended[stage].merge(tally)

    def clock(self, stage: str, *, cpu: bool = False, bytes: int = 0, clip: int = -1, shard: str = "") -> Clock:
        """Time a `with` block as one measurement of this stage.

        Args:
            cpu: count what this thread computed, not its waiting for a core; both are kept: they tell whether cores were lacking.
            bytes: that the stage took; may also be set on the clock inside the block, as may the next two.
            clip, shard: global id of the clip and name of its shard, for the trace.
        """
        return Clock(self, stage, cpu, bytes, clip, shard)

    def add(self, stage: str, seconds: float, *, bytes: int = 0) -> None:
        """A measurement of this stage that was made elsewhere and has just ended."""
        self.mine()[stage].add(seconds, bytes)
        if self.trace is not None:
            end = self.now()
            self.trace.span(stage, end - seconds, end)

    def queues(self, lengths: Mapping[str, float]) -> None:
        """A sample of the clips that wait, by the name of the threads they wait for (`read`, `clip`)."""
        self._queues.sample(lengths)
        if self.trace is not None:
            for name, length in lengths.items():
                self.trace.counter(f"waiting: {name}", length)

    def event(self, name: str, **args: object) -> None:
        """Something worth knowing happened, as a clip that was replaced or a read that was tried again."""
        with self._lock:
            self._events[name] += 1
        if self.trace is not None:
            self.trace.instant(name, args)

    def delivered(self, clips: int, occupancy: float, asked: float) -> None:
        """A batch is handed out, now. occupancy: of the queue when it was asked for, 0 … 1. asked: when that was, by `now`."""
        now = self.now()
        first = not self.pace.begun
        step = self.pace.delivered(clips, occupancy, asked, now)
        if first:
            with self._threads.lock:
                self._before = summary.sums(self._tallies())
        if self.trace is not None:
            if step is not None:
                self.trace.span("step", asked - step, asked)
            self.trace.span("wait", asked, now)
            self.trace.counter("batches ready", occupancy)

    def paused(self) -> None:
        """The iteration has ended or was given up: until the next batch is asked for, time is no evidence."""
        self.pace.paused(self.now())

    def _tallies(self) -> list[tuple[str, Tallies]]:
        """By group, of the threads that live and of those that ended."""
        every = self._threads.every()  # first, as it folds
        return [*self._ended.items(), *every]

    def report(self) -> dict[str, Any]:
        """What was measured since the meter was made, in JSON.

        - `stages`: by name, `median_ms`, `p95_ms` and `p99_ms` of the newest measurements; `seconds`, `wall_seconds` and `count` of
          all; `threads`, how many worked on it at a time, mean; `bytes` and `bytes_per_second` where known; `queue`, the clips (for
          `wait`: the share of finished batches) that waited before it, mean, where sampled. `read`, `rotate`, `maps` and
          `spectrogram` are of one clip in one thread; `decode` is of a clip, or of a batch where it is decoded as one; `copy` and
          `wait` are of a batch. Stages measured by processor time count only that in all but `wall_seconds`.
        - `queues`: `mean` and `empty` (share of samples) of the clips that wait, by the threads they wait for.
        - `threads`: by kind, how many there were at a time (`count`), and which share of the iteration they were at work (`busy`).
        - `step`: of the consumer between two batches, as a stage; None before there was one.
        - `clips` and `batches`, all; `clips_per_second` after the first batch; `first_batch_seconds`; `elapsed_seconds` of
          iterating; `wait_share` of them; `pauses` and `paused_seconds` between and within iterations; `queue_occupancy`, of
          finished batches when asked, 0 … 1; `late`, share of the asks that found none.
        - `events`: how often each kind happened. `trace`: its `path`, `events`, `dropped`, `note`; None without.
        - `verdict`: one sentence, and `verdict_code`: see `verdict.Verdict`.
        """
        levels, pace = self._queues.levels(), self.pace
        with self._threads.lock:  # so that no thread is counted twice because it ends meanwhile
            tallies = self._tallies()
            groups = summary.groups(summary.sums(tallies), self._before, self._threads.most(), levels)
            stages = summary.stages(tallies, groups, pace)
        evidence = Evidence(
            pace.batches, pace.elapsed, pace.waits.wall, pace.occupancy, groups, self.remote, self.cores, started=pace.begun
        )
        verdict = judge(evidence)
        with self._lock:
            events = dict(sorted(self._events.items()))
        return {
            "stages": stages,
            "queues": {name: {"mean": level.mean, "empty": level.empty_share} for name, level in levels.items()},
            "threads": {g.name: {"count": g.threads, "busy": g.busy(pace.elapsed)} for g in groups},
            "step": summary.line([pace.steps]) if pace.steps.count else None,
            "clips": pace.first_clips + pace.clips,
            "batches": pace.batches + pace.begun,
            "clips_per_second": pace.clips_per_second,
            "first_batch_seconds": pace.first_seconds,
            "elapsed_seconds": pace.elapsed,
            "wait_share": pace.wait_share,
            "pauses": pace.pauses,
            "paused_seconds": pace.away,
            "queue_occupancy": pace.occupancy,
            "late": pace.late / pace.asks if pace.asks else 0.0,
            "events": events,
            "trace": self.trace.report() if self.trace is not None else None,
            "verdict": verdict.text,
            "verdict_code": verdict.code,
        }

    def close(self) -> None:
        """End the trace, if there is one."""
        if self.trace is not None:
            self.trace.close()
