"""Batches of views on the CPU. A picture is one task: read, decoded once, and made into all its views."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from dataio.stream.batch import Batch, Job, Step, await_job
from dataio.stream.buffers import BufferPool
from dataio.stream.decode.errors import DecodeError
from dataio.stream.errors import CorruptClipError
from dataio.stream.images.decode import decoder
from dataio.stream.images.draws import Draws, choose
from dataio.stream.images.reader import StillClip
from dataio.stream.images.spec import ViewSpec
from dataio.stream.images.views import Views
from dataio.stream.meter import Meter
from dataio.stream.pool import Pool
from dataio.stream.spec import SpecError
from dataio.stream.supply import Pick, Served, Supply


class ViewBatcher:
    """`workers` threads make pictures; with `readers` > 0 as many others read them first, which is right where reading is waiting.

    A batch holds, for B pictures: `view0`, `view1`, … (B, 3, size, size) float32, `label` (B,) int64, row of the classes, `clip`
    (B,) int64, global id, and `source` (B,) int64 where there are several sets.

    Args:
        supply: whose readers are StillReaders with one ViewSpec.
        seed: of all that is drawn.

    Raises:
        SpecError: views in float16, which the CPU's kernels do not write.
    """

    _on_cpu = True

    def __init__(self, supply: Supply, spec: ViewSpec, *, seed: int, workers: int, readers: int, meter: Meter) -> None:
        if spec.dtype == "float16" and self._on_cpu:
            raise SpecError("dtype='float16': on the cpu views are float32")
        self._supply, self._spec, self._seed, self._meter = supply, spec, seed, meter
        self._views = Views(spec)
        self.decoder, self._decode = decoder()
        self._buffers = BufferPool()
        self._workers = Pool(workers, "sonosphere-clip")
        self._readers = Pool(readers, "sonosphere-read") if readers else None

    def start(self, step: Step, picks: Sequence[Pick]) -> Job:
        job = Job(step, picks)
        job.fields = self._lend(len(picks)) | {"label": torch.empty(len(picks), dtype=torch.int64)}
        draws = self._draw(picks)
        for i in range(len(picks)):
            if self._readers is not None:
                self._readers.submit(job, partial(self._read, job, i, draws.row(i)))
            else:
                self._workers.submit(job, partial(self._make, job, i, draws.row(i), None))
        return job

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        return ids(self._supply, job) | job.fields

    def _lend(self, pictures: int) -> Batch:
        """The tensors that the tasks fill."""
        shape = (pictures, 3, self._spec.size, self._spec.size)
        return {name: self._buffers.lend(shape) for name in self._spec.names}

    def _draw(self, picks: Sequence[Pick]) -> Draws:
        epochs, clips = [pick.epoch for pick in picks], [pick.clip for pick in picks]
        return choose(self._spec, self._seed, np.array(epochs, np.int64), np.array(clips, np.int64))

    def _read(self, job: Job, i: int, draws: Draws) -> None:
        try:
            first: Served | CorruptClipError = self._supply.read(job.picks[i])
        except CorruptClipError as error:
            first = error
        self._workers.submit(job, partial(self._make, job, i, draws, first))

    def _make(self, job: Job, i: int, draws: Draws, first: Served | CorruptClipError | None) -> None:
        job.done(i, self._supply.healthy(job.picks[i], partial(self._write, job, i, draws), first).facts)

    def _write(self, job: Job, i: int, draws: Draws, served: Served) -> None:
        raw, reader = served.raw, self._supply.readers[served.pick.source]
        assert isinstance(raw, StillClip)
        if served.pick is not job.picks[i]:  # in place of another, and so with numbers of its own
            draws = self._draw([served.pick])
        try:
            with self._meter.clock("decode", cpu=True):
                picture = self._decode(raw.picture.parts[0])
        except DecodeError as error:
            raise reader.broken(raw, "views", 0, error.reason) from error
        with self._meter.clock("views", cpu=True):
            self._views.write(picture, draws, [job.fields[name][i].numpy() for name in self._spec.names])
        job.fields["label"][i] = raw.label

    def queues(self) -> dict[str, float]:
        found = {"read": float(self._readers.waiting)} if self._readers is not None else {}
        return found | {"clip": float(self._workers.waiting)}

    @property
    def buffer_bytes(self) -> int:
        """Memory of all batches that were ever out at the same time."""
        return self._buffers.bytes

    def close(self) -> None:
        for pool in (self._readers, self._workers):
            if pool is not None:
                pool.close()
        self._buffers.clear()


def ids(supply: Supply, job: Job) -> Batch:
    """`clip`, the global ids of the pictures that are in the batch, and `source`, where there are several sets."""
    picks = [facts.pick for facts in job.made if facts is not None]
    found = {"clip": torch.tensor([int(supply.first_clip[p.source]) + p.clip for p in picks], dtype=torch.int64)}
    if len(supply.readers) > 1:
        found["source"] = torch.tensor([p.source for p in picks], dtype=torch.int64)
    return found
