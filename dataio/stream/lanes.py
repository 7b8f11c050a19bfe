"""Batches that are decoded while others are turned: several pipelines, of which each has one batch at a time.

A pipeline is held from the moment at which its batch begins to be decoded until the device is done with the pictures. With three of
them two batches can be decoded while the pictures of a third are read; and a picture that breaks a pipeline breaks one batch.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from dataio.stream.batch import Job
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.safe import Encoded, SafePipeline

LANES = 3

Mend = Callable[[Job, int, DecodeError], Encoded]
"""What to take in place of a clip of a job that DALI refuses; it also writes down which clip it is."""


class Lanes:
    """For one thread: that which finishes batches."""

    def __init__(self, pipelines: Sequence[SafePipeline]) -> None:
        self._free = deque(pipelines)
        self._held: list[tuple[Job, SafePipeline]] = []
        self._expected: deque[Job] = deque()

    def expect(self, job: Job) -> None:
        """This job will be decoded after those expected before, and may begin as soon as its bytes are there."""
        self._expected = deque(other for other in self._expected if other.error is None)
        self._expected.append(job)

    def decode(self, job: Job, mend: Mend) -> Any:
        """The pictures of a job whose bytes are there, valid until `free`. Has the next job begin too, if it can.

        Raises:
            DecodeError, RuntimeError: as `SafePipeline.result`, and what `mend` raises.
        """
        self._reclaim()
        if not any(held is job for held, _ in self._held):
            while self._expected.popleft() is not job:  # those before it were given up
                pass
            self._begin(job, mend)
        self._begin_next(mend)
        decoded = self._lane(job).result(partial(mend, job))
        self._begin_next(mend)  # its bytes may have come meanwhile
        return decoded

    def _begin_next(self, mend: Mend) -> None:
        after = self._expected[0] if self._expected and self._free else None
        if after is not None and after.wait(0) and after.error is None:
            self._expected.popleft()
            try:
                self._begin(after, mend)
            except Exception as error:  # that is for whoever waits for that batch, when its turn has come
                after.fail(error)

    def _begin(self, job: Job, mend: Mend) -> None:
        lane = self._free.popleft()
        self._held.append((job, lane))
        lane.begin(list(job.encoded), partial(mend, job))

    def _lane(self, job: Job) -> SafePipeline:
        return next(lane for held, lane in self._held if held is job)

    def _reclaim(self) -> None:
        """From jobs that nobody wants any more."""
        for job, lane in [(job, lane) for job, lane in self._held if job.error is not None]:
            lane.abandon()
            self._held.remove((job, lane))
            self._free.append(lane)

    def free(self, job: Job) -> None:
        """The device is done with the pictures of this job."""
        lane = self._lane(job)
        lane.release()
        self._held = [(held, of) for held, of in self._held if held is not job]
        self._free.append(lane)
