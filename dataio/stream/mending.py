"""Clips that DALI refuses are replaced by the next healthy ones, in the midst of a batch."""

from collections.abc import Callable, Sequence

from dataio.stream.batch import Job, await_job
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.safe import Encoded, SafePipeline
from dataio.stream.supply import Served
from dataio.stream.tasks import TaskBatcher


class Mending(TaskBatcher):
    """The tasks leave what is to be decoded in `Job.encoded`, and clips in `Job.kept`."""

    _decoded = "frames"
    """What DALI decodes, in the words of `ClipReader.broken`."""
    _pipelines: Sequence[SafePipeline]

    def _keep(self, job: Job, i: int, served: Served) -> None:
        job.kept[i] = served

    def _mend(self, check: Callable[[], None], job: Job, i: int, error: DecodeError) -> Encoded:
        """Replace clip i, as a task: it reads, so this thread must be free to notice that a read hangs."""
        mending = Job(job.step, [job.picks[i]])

        def mend() -> None:
            self._replace(job, i, error)
            facts = job.made[i]
            assert facts is not None
            mending.done(0, facts)

        self._workers.submit(mending, mend)
        await_job(mending, check)
        return job.encoded[i]

    def _replace(self, job: Job, i: int, error: DecodeError) -> None:
        """The next healthy clip in place of one that DALI refuses; whatever the tasks make of it is made at once."""
        bad, write = job.kept[i], self._attempt(job, i)
        assert bad is not None

        def attempt(served: Served) -> None:
            write(served)
            if (wrong := self._pipelines[0].check(job.encoded[i])) is not None:
                reader = self._supply.readers[served.pick.source]
                raise reader.broken(served.raw, self._decoded, wrong.part, wrong.reason) from wrong

        broken = self._supply.readers[bad.pick.source].broken(bad.raw, self._decoded, error.part, error.reason)
        served = self._supply.healthy(bad.pick, attempt, broken)
        job.kept[i], job.made[i] = served, served.facts

    def close(self) -> None:
        super().close()
        for pipeline in self._pipelines:
            pipeline.close()
