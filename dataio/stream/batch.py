"""A batch under way, and what every way of making one has in common."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from dataio.stream.order.steps import Step
from dataio.stream.spec import ClipSpec
from dataio.stream.supply import Facts, Pick, Served, Supply

Batch = dict[str, torch.Tensor]


@dataclass
class Job:
    """A batch under way: B picks, each with its place in `fields`, and what has come of it.

    fields: tensors that are being filled. made: set by the tasks. kept: bytes that a task leaves for `finish`, where the batch
    is decoded as one. encoded: what DALI gets of them. drawn: numbers of all clips, where they are drawn together. error: the first
    that no replacement can mend.
    """

    step: Step
    picks: Sequence[Pick]
    fields: Batch = field(default_factory=dict)
    made: list[Facts | None] = field(default_factory=list)
    kept: list[Served | None] = field(default_factory=list)
    encoded: list[Any] = field(default_factory=list)
    drawn: Any = None
    error: BaseException | None = None
    _left: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _done: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        clips = len(self.picks)
        self.made, self.kept, self.encoded = [None] * clips, [None] * clips, [None] * clips
        self._left = len(self.picks)
        if not self.picks:
            self._done.set()

    def done(self, i: int, facts: Facts) -> None:
        """Clip i is in its place."""
        with self._lock:
            self.made[i] = facts
            self._left -= 1
            if not self._left:
                self._done.set()

    def fail(self, error: BaseException) -> None:
        with self._lock:
            self.error = self.error or error
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether all clips are there, or one never will be."""
        return self._done.wait(seconds)


class Batcher(Protocol):
    """Turns picks into batches on one device. ahead: batches under way beside those that are ready."""

    ahead: int

    def start(self, step: Step, picks: Sequence[Pick]) -> Job:
        """Begin reading, without waiting."""

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        """Wait for it. `check` is called a few times a second meanwhile, and may raise."""

    def hand_over(self, batch: Batch) -> Batch:
        """What `finish` gave, for the thread that calls this."""

    def queues(self) -> dict[str, float]:
        """Clips that wait for a thread, by the kind of thread: `read`, `clip`."""

    @property
    def buffer_bytes(self) -> int: ...

    def close(self) -> None: ...


def await_job(job: Job, check: Callable[[], None]) -> None:
    """Raises what went wrong in its tasks, or what `check` raises."""
    while not job.wait(0.25):
        check()
    if job.error is not None:
        raise job.error


def small_fields(spec: ClipSpec, supply: Supply, job: Job) -> Batch:
    """The fields of one number a clip, on the CPU: ids, yaw, where the sound windows begin (seconds into the clip), gap."""
    made = [facts for facts in job.made if facts is not None]
    picks = [facts.pick for facts in made]
    clips, recordings = supply.first_clip, supply.first_recording

    def integers(values: list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64)

    fields = {
        "clip": integers([int(clips[p.source]) + p.clip for p in picks]),
        "recording": integers([int(recordings[f.pick.source]) + f.recording for f in made]),
    }
    if len(supply.readers) > 1:
        fields["source"] = integers([p.source for p in picks])
    if spec.yaw_classes:
        fields["yaw"] = integers([p.yaw for p in picks])
        fields["yaw_degrees"] = fields["yaw"].float() * (360.0 / spec.yaw_classes)
    if spec.pairs:
        fields["sound_start"] = torch.tensor([p.start / spec.sound_rate for p in picks], dtype=torch.float64)
    if spec.partner:
        fields["partner"] = integers([int(clips[f.pick.source]) + f.partner for f in made])
        fields["gap"] = torch.tensor([f.gap / spec.reach for f in made], dtype=torch.float32)
    return fields
