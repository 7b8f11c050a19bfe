"""Stage clocks, and what they say about where the time goes."""

import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

STAGES = ("read", "decode", "rotate", "spectrogram", "copy", "wait")
_KEEP = 4096  # the newest measurements of each stage; older ones say nothing about now
_AHEAD = 0.02  # share of a step spent waiting below which the loader counts as fast enough


@dataclass
class Meter:
    """Seconds spent per stage.

    `read`, `rotate` and `spectrogram` are of one clip in one thread, the last two in processor time, so that a core shared with the
    training step does not look like a slow kernel; `decode`, `copy` and `wait` are of a batch, by the wall clock.
    """

    seconds: dict[str, deque[float]] = field(default_factory=lambda: {stage: deque(maxlen=_KEEP) for stage in STAGES})
    total: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    occupancy: deque[float] = field(default_factory=lambda: deque(maxlen=_KEEP))
    clips: int = 0
    began: float | None = None  # perf_counter() when the first batch was there
    ended: float = 0.0
    first_seconds: float = 0.0
    first_clips: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    @contextmanager
    def clock(self, stage: str, *, cpu: bool = False) -> Iterator[None]:
        """Time a block as one measurement of this stage; `cpu` counts what this thread computed, not its waiting for a core."""
        now = time.thread_time if cpu else time.perf_counter
        start = now()
        try:
            yield
        finally:
            self.add(stage, now() - start)

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self.seconds[stage].append(seconds)
            self.total[stage] += seconds

    def delivered(self, clips: int, occupancy: float, asked: float) -> None:
        """A batch was handed out. occupancy: of the queue when it was asked for, 0 … 1. asked: perf_counter() of the asking."""
        now = time.perf_counter()
        if self.began is None:  # the first batch of all meets cold caches and unloaded kernels, and says nothing about the pace
            self.began, self.first_seconds, self.first_clips = now, now - asked, clips
        else:
            self.add("wait", now - asked)
            self.occupancy.append(occupancy)
        self.ended, self.clips = now, self.clips + clips

    def report(self) -> dict:
        """`stages`: median and 95th percentile in ms, and busy seconds of each; clips_per_second and queue_occupancy after the
        first batch, first_batch_seconds, verdict.
        """
        with self._lock:
            stages = {stage: _summary(values, self.total[stage]) for stage, values in self.seconds.items() if values}
        elapsed = self.ended - self.began if self.began is not None else 0.0
        return {
            "stages": stages,
            "clips": self.clips,
            "clips_per_second": (self.clips - self.first_clips) / elapsed if elapsed > 0 else 0.0,
            "first_batch_seconds": self.first_seconds,
            "queue_occupancy": statistics.fmean(self.occupancy) if self.occupancy else 0.0,
            "verdict": _verdict(stages, elapsed),
        }


def _summary(values: deque[float], total: float) -> dict[str, float]:
    ordered = sorted(values)
    at95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"median_ms": 1e3 * statistics.median(ordered), "p95_ms": 1e3 * at95, "seconds": total, "count": len(ordered)}


def _verdict(stages: dict[str, dict[str, float]], elapsed: float) -> str:
    """One sentence: who sets the pace, and if it is the loader, which stage."""
    if "wait" not in stages or elapsed <= 0:
        return "nothing was delivered yet, so nothing can be said"
    share = stages["wait"]["seconds"] / elapsed
    if share < _AHEAD:
        return f"the consumer sets the pace: it waits for data {share:.1%} of the time, so a faster loader would gain nothing"
    work = {stage: s["seconds"] for stage, s in stages.items() if stage != "wait"}
    if not work:
        return f"the consumer waits for data {share:.0%} of the time"
    slowest = max(work, key=lambda stage: work[stage])
    part = work[slowest] / sum(work.values())
    return (
        f"the consumer waits for data {share:.0%} of the time; {slowest} is the largest stage with {part:.0%} of the loader's work"
    )
