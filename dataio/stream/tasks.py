"""A batch as one task a clip, in threads that live as long as the loader; what each task does is the matter of a subclass."""

from collections.abc import Callable, Sequence
from functools import partial

from dataio.stream.batch import Batch, Job
from dataio.stream.buffers import BufferPool
from dataio.stream.errors import CorruptClipError
from dataio.stream.meter import Meter
from dataio.stream.order.steps import Step
from dataio.stream.pool import Pool
from dataio.stream.supply import Pick, Served, Supply

First = Served | CorruptClipError | None
"""What reading a clip has come to; None: it was not read yet."""


class TaskBatcher:
    """`workers` threads make clips; with `readers` > 0 as many others read them first, which is right where reading is waiting."""

    ahead = 2  # while one is finished, the workers are busy with the next

    def __init__(self, supply: Supply, *, workers: int, readers: int, meter: Meter) -> None:
        self._supply, self._meter = supply, meter
        self._buffers = BufferPool()
        self._workers = Pool(workers, "sonosphere-clip")
        self._readers = Pool(readers, "sonosphere-read") if readers else None

    def start(self, step: Step, picks: Sequence[Pick]) -> Job:
        job = Job(step, picks)
        job.fields = self._lend(len(picks))
        self._prepare(job)
        for i in range(len(picks)):
            if self._readers is not None:
                self._readers.submit(job, partial(self._read, job, i))
            else:
                self._workers.submit(job, partial(self._make, job, i, None))
        return job

    def _lend(self, clips: int) -> Batch:
        """The tensors that the tasks fill."""
        raise NotImplementedError

    def _prepare(self, job: Job) -> None:
        """What a batch needs before its first task."""

    def _read(self, job: Job, i: int) -> None:
        if job.error is not None:  # nobody will have it
            return
        try:
            first: First = self._supply.read(job.picks[i])
        except CorruptClipError as error:
            first = error
        self._workers.submit(job, partial(self._make, job, i, first))

    def _make(self, job: Job, i: int, first: First) -> None:
        if job.error is not None:
            return
        served = self._supply.healthy(job.picks[i], self._attempt(job, i), first)
        self._keep(job, i, served)
        job.done(i, served.facts)

    def _keep(self, job: Job, i: int, served: Served) -> None:
        """Leave something of a clip for `finish`."""

    def _attempt(self, job: Job, i: int) -> Callable[[Served], None]:
        """How clip i is made from its bytes; raises CorruptClipError where they cannot be decoded."""
        raise NotImplementedError

    def hand_over(self, batch: Batch) -> Batch:
        """A batch on the CPU is there when it is finished."""
        return batch

    def queues(self) -> dict[str, float]:
        found = {"read": float(self._readers.waiting)} if self._readers is not None else {}
        return found | {"clip": float(self._workers.waiting)}

    @property
    def buffer_bytes(self) -> int:
        """Memory that is kept for batches, and for the bytes of clips."""
        return self._buffers.bytes + sum(reader.buffer_bytes for reader in self._supply.readers)

    def close(self) -> None:
        for pool in (self._readers, self._workers):
            if pool is not None:
                pool.close()
        self._buffers.clear()
