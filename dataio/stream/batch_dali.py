"""Batches on the CPU whose frames DALI decodes, in its own threads and as one flat batch; all else is as in batch_cpu."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from dataio.stream.batch import Batch, Job, await_job
from dataio.stream.batch_cpu import CpuBatcher
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.flat import Flat
from dataio.stream.decode.safe import Parts, SafePipeline
from dataio.stream.kernels import rotate
from dataio.stream.kernels.turner import Turner
from dataio.stream.meter import Meter
from dataio.stream.pictures import Pictures
from dataio.stream.supply import Served, Supply


class DaliBatcher(CpuBatcher):
    """The tasks leave the encoded frames of their clips to `finish`, which has them decoded together.

    Args:
        pictures: of every set, without frames.
        flat: the graph.
    """

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
        self._frames = SafePipeline(flat.name, flat.build, flat.suspicious, batch=batch_size * flat.parts)
        self._single = flat.parts == self._spec.frames and flat.name == "jpeg"  # a picture is a sample of its own
        stored = [reader.store.manifest.media.size for reader in supply.readers]
        self._resizes = [rotate.plan(size, self._spec.size) for size in stored] if self._spec.frames else []

    def _keep(self, job: Job, i: int, served: Served) -> None:
        job.kept[i] = served

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        if job.picks:
            with self._meter.clock("decode"):
                decoded = self._frames.run(self._parts(job), partial(self._mend, job, check))
            try:
                self._turn(job, decoded, check)
            finally:
                self._frames.release()
        return self._collected(job)

    @staticmethod
    def _parts(job: Job) -> list[Parts]:
        return [served.raw.picture.parts for served in job.kept if served is not None]

    def _mend(self, job: Job, check: Callable[[], None], i: int, error: DecodeError) -> Parts:
        """`_replace` as a task: it reads, so this thread must be free to notice that a read hangs."""
        mending, found = Job(job.step, [job.picks[i]]), list[Parts]()

        def mend() -> None:
            found.append(self._replace(job, i, error))
            facts = job.made[i]
            assert facts is not None
            mending.done(0, facts)

        self._workers.submit(mending, mend)
        await_job(mending, check)
        return found[0]

    def _replace(self, job: Job, i: int, error: DecodeError) -> Parts:
        """The encoded frames of the next healthy clip in place of one that DALI refuses; its sound and maps are written at once."""
        bad = job.kept[i]
        assert bad is not None
        broken = self._supply.readers[bad.pick.source].broken(bad.raw, "frames", error.part, error.reason)
        slot = self._slot(job, i)

        def attempt(served: Served) -> None:
            if (wrong := self._frames.check(served.raw.picture.parts)) is not None:
                reader = self._supply.readers[served.pick.source]
                raise reader.broken(served.raw, "frames", wrong.part, wrong.reason) from wrong
            self._write(slot, served)

        served = self._supply.healthy(bad.pick, attempt, broken)
        job.kept[i], job.made[i] = served, served.facts
        return served.raw.picture.parts

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
            resize, out = self._resizes[facts.pick.source], job.fields["frames"].numpy()[i]
            turner = Turner(facts.pick.shift, facts.pick.mirror, facts.pick.tilt)
            for f in range(count):
                picture = np.asarray(decoded.at(i * count + f) if self._single else decoded.at(i)[f])
                turner.write(picture, f, resize, out)
        turning.done(i, facts)

    def close(self) -> None:
        super().close()
        self._frames.close()
