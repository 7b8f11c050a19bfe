"""Batches of views on the CPU. A picture is one task: read, decoded once, and made into all its views."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from dataio.stream.batch import Batch, Job, await_job
from dataio.stream.decode.errors import DecodeError
from dataio.stream.images.decode import decoder
from dataio.stream.images.draws import Draws, choose
from dataio.stream.images.reader import StillClip
from dataio.stream.images.spec import ViewSpec
from dataio.stream.images.views import Views
from dataio.stream.meter import Meter
from dataio.stream.spec import SpecError
from dataio.stream.supply import Pick, Served, Supply
from dataio.stream.tasks import TaskBatcher


class ViewBatcher(TaskBatcher):
    """Every task decodes a picture once and makes all its views.

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
        super().__init__(supply, workers=workers, readers=readers, meter=meter)
        self._spec, self._seed = spec, seed
        self._views = Views(spec)
        self.decoder, self._decode = decoder()

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        return ids(self._supply, job) | job.fields

    def _lend(self, clips: int) -> Batch:
        shape = (clips, 3, self._spec.size, self._spec.size)
        views = {name: self._buffers.lend(shape) for name in self._spec.names}
        return views | {"label": torch.empty(clips, dtype=torch.int64)}

    def _prepare(self, job: Job) -> None:
        job.drawn = self._draw(job.picks)

    def _draw(self, picks: Sequence[Pick]) -> Draws:
        epochs, clips = [pick.epoch for pick in picks], [pick.clip for pick in picks]
        return choose(self._spec, self._seed, np.array(epochs, np.int64), np.array(clips, np.int64))

    def _attempt(self, job: Job, i: int) -> Callable[[Served], None]:
        return partial(self._write, job, i)

    def _write(self, job: Job, i: int, served: Served) -> None:
        raw, reader = served.raw, self._supply.readers[served.pick.source]
        assert isinstance(raw, StillClip)
        # one that comes in place of another has numbers of its own
        draws = job.drawn.row(i) if served.pick is job.picks[i] else self._draw([served.pick])
        try:
            with self._meter.clock("decode", cpu=True):
                picture = self._decode(raw.picture.parts[0])
        except DecodeError as error:
            raise reader.broken(raw, "views", 0, error.reason) from error
        with self._meter.clock("views", cpu=True):
            self._views.write(picture, draws, [job.fields[name][i].numpy() for name in self._spec.names])
        job.fields["label"][i] = raw.label


def ids(supply: Supply, job: Job) -> Batch:
    """`clip`, the global ids of the pictures that are in the batch, and `source`, where there are several sets."""
    picks = [facts.pick for facts in job.made if facts is not None]
    found = {"clip": torch.tensor([int(supply.first_clip[p.source]) + p.clip for p in picks], dtype=torch.int64)}
    if len(supply.readers) > 1:
        found["source"] = torch.tensor([p.source for p in picks], dtype=torch.int64)
    return found
