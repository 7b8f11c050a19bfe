"""Batches on the CPU whose frames DALI decodes, in its own threads and as one flat batch; all else is as in batch_cpu."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from dataio.stream.batch import Batch, Job, await_job
from dataio.stream.batch_cpu import CpuBatcher
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.flat import Flat
from dataio.stream.decode.safe import Encoded, SafePipeline, first_output
from dataio.stream.kernels import rotate
from dataio.stream.kernels.turner import Turner
from dataio.stream.mending import Mending
from dataio.stream.meter import Meter
from dataio.stream.pictures import Pictures
from dataio.stream.supply import Served, Supply

_SIZES = 16  # of stored pictures, whose tables are kept


class DaliBatcher(Mending, CpuBatcher):
    """The tasks leave the encoded frames of their clips to `finish`, which has them decoded together.

    Args:
        pictures: of every set, without frames.
        flat: the graph.
    """

    _lanes = 1
    """Pipelines."""

    def __init__(
        self,
        supply: Supply,
        pictures: Sequence[Pictures],
        flat: Flat,
        *,
        batch_size: int,
        workers: int,
        readers: int,
        meter: Meter,
    ) -> None:
        super().__init__(supply, pictures, workers=workers, readers=readers, meter=meter)
        size = batch_size * flat.parts
        self._pipelines = [SafePipeline(flat.build, batch=size, share=self._share) for _ in range(self._lanes)]
        self._encode = flat.encode
        self._single = flat.parts == self._spec.frames  # a picture is a sample of its own
        self._plan = lru_cache(_SIZES)(partial(rotate.plan, size=self._spec.size))

    def _share(self, pipe: Any) -> Any:
        return first_output(pipe)

    def _attempt(self, job: Job, i: int) -> Callable[[Served], None]:
        write = super()._attempt(job, i)

        def attempt(served: Served) -> None:
            job.encoded[i] = self._encoded(served)
            write(served)

        return attempt

    def _encoded(self, served: Served) -> Encoded | None:
        if not self._spec.frames:
            return None
        reader = self._supply.readers[served.pick.source]
        try:
            return self._encode(served.raw.picture, reader.store.manifest.media)
        except DecodeError as error:
            raise reader.broken(served.raw, "frames", error.part, error.reason) from error

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        if job.picks:
            (frames,) = self._pipelines
            with self._meter.clock("decode"):
                decoded = frames.run(list(job.encoded), partial(self._mend, check, job))
            try:
                self._turn(job, decoded, check)
            finally:
                frames.release()
        return self._collected(job)

    def _turn(self, job: Job, decoded: Any, check: Callable[[], None]) -> None:
        """Every clip's pictures into their places, each as a task."""
        turning = Job(job.step, job.picks)
        for i in range(len(job.picks)):
            self._workers.submit(turning, partial(self._turn_one, job, turning, i, decoded))
        await_job(turning, check)

    def _turn_one(self, job: Job, turning: Job, i: int, decoded: Any) -> None:
        facts, count = job.made[i], self._spec.frames
        assert facts is not None
        with self._meter.clock("rotate", cpu=True):
            stored = self._supply.readers[facts.pick.source].store.manifest.media.size
            resize, out = self._plan(stored), job.fields["frames"].numpy()[i]
            turner = Turner(facts.pick.shift, facts.pick.mirror, facts.pick.tilt)
            for f in range(count):
                picture = np.asarray(decoded.at(i * count + f) if self._single else decoded.at(i)[f])
                turner.write(picture, f, resize, out)
        turning.done(i, facts)
