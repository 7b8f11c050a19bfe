"""Batches of views on a GPU. Tasks read bytes; DALI decodes, crops and resizes, numba kernels colour and blur.

As in batch_cuda.py, whatever the device does is asked for and not waited for. Written for the GPU and tried with a device that is
late; docs/gpu says what has run on one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from dataio.stream.batch import Batch, Job, await_job
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.safe import SafePipeline
from dataio.stream.device.device import Arriving, Device
from dataio.stream.device.retired import Retired
from dataio.stream.images import graph
from dataio.stream.images.batcher import ViewBatcher, ids
from dataio.stream.images.draws import Draws
from dataio.stream.images.reader import StillClip
from dataio.stream.images.spec import ViewSpec
from dataio.stream.images.views import scaling
from dataio.stream.lanes import LANES, Lanes
from dataio.stream.mending import Mending
from dataio.stream.meter import Meter
from dataio.stream.supply import Served, Supply

_BEHIND = 1  # batches that the device may still be at work on when the next one is finished


class CudaViewBatcher(Mending, ViewBatcher):
    """Fields as on the CPU, all on the device; views are float16 by default. Stages are timed by the device's clock; `decode` is
    how long its stream waited for the pictures.
    """

    _on_cpu = False
    ahead = 3  # while one is turned and the next decoded, one is read
    _decoded = "views"

    def __init__(
        self,
        supply: Supply,
        spec: ViewSpec,
        *,
        seed: int,
        batch_size: int,
        workers: int,
        readers: int,
        meter: Meter,
        device: Device,
    ) -> None:
        super().__init__(supply, spec, seed=seed, workers=workers, readers=readers, meter=meter)
        self.decoder, self._device, self._buffers = "dali", device, device.host
        with device.entered():
            build = partial(graph.views, spec, device.name, workers)
            self._pipelines = [SafePipeline(build, batch=batch_size, share=device.share) for _ in range(LANES)]
        self._lanes, self._retired = Lanes(self._pipelines), Retired(meter)

    def _lend(self, clips: int) -> Batch:
        return {"label": self._device.host.lend((clips,), np.int64)} if clips else {}

    def _prepare(self, job: Job) -> None:
        super()._prepare(job)
        if job.picks:
            self._lanes.expect(job)

    def _write(self, job: Job, i: int, served: Served) -> None:
        raw, reader = served.raw, self._supply.readers[served.pick.source]
        assert isinstance(raw, StillClip)
        draws = job.drawn.row(i) if served.pick is job.picks[i] else self._draw([served.pick])
        jpeg = raw.picture.parts[0]
        try:
            job.encoded[i] = graph.encoded(self._spec, draws, jpeg)
            if job.encoded[i].doubtful:
                self._decode(jpeg)  # stricter than DALI with what breaks off
        except DecodeError as error:
            raise reader.broken(raw, "views", 0, error.reason) from error
        job.fields["label"][i] = raw.label

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        with self._device.entered():
            self._retired.sweep(_BEHIND)
            if not job.picks:  # nothing was made; who asks for a field finds it all the same
                fields = {name: self._out(0) for name in self._spec.names} | ids(self._supply, job)
                fields["label"] = torch.empty(0, dtype=torch.int64)
                return Arriving({name: value.to(self._device.where) for name, value in fields.items()}, self._device.mark())
            return self._made(job, check)

    def _made(self, job: Job, check: Callable[[], None]) -> Arriving:
        """Everything of a batch, asked for and not waited for."""
        device, loans = self._device, list[torch.Tensor]()
        begin = device.mark()
        output = self._lanes.decode(job, partial(self._mend, check))
        decoded = device.mark()
        fields = {name: self._sent(value.numpy(), loans) for name, value in ids(self._supply, job).items()}
        fields["label"] = self._sent(job.fields.pop("label").numpy(), loans)
        (pictures,) = device.blocks(output)  # all of one size
        fields |= self._views_of(pictures, self._drawn(job), loans)
        ready = device.mark()
        done = partial(self._let_go, job, output, loans)
        self._retired.add(ready, done, [("decode", begin, decoded), ("views", decoded, ready)])
        job.kept = [None] * len(job.picks)
        return Arriving(fields, ready)

    def _drawn(self, job: Job) -> Draws:
        """For the pictures that the batch has in the end."""
        if not self._spec.augment:
            return _nothing(len(job.picks), self._spec.views)
        picks = [facts.pick for facts in job.made if facts is not None]
        return job.drawn if all(a is b for a, b in zip(picks, job.picks, strict=True)) else self._draw(picks)

    def _sent(self, values: np.ndarray, loans: list[torch.Tensor]) -> torch.Tensor:
        """A copy on the device. loans: gets the memory that it is copied from."""
        loans.append(self._device.host.lend(values.shape, values.dtype.type))
        loans[-1].numpy()[...] = values
        return self._device.send(loans[-1])

    def _out(self, clips: int) -> torch.Tensor:
        dtype = torch.float32 if self._spec.dtype == "float32" else torch.float16
        return self._device.empty((clips, 3, self._spec.size, self._spec.size), dtype)

    def _views_of(self, pictures: torch.Tensor, draws: Draws, loans: list[torch.Tensor]) -> Batch:
        """pictures: (B, V, S, S, 3) uint8 on the device."""
        from dataio.stream.images import views_cuda

        device, send, found = self._device, partial(self._sent, loans=loans), Batch()
        factors = send(np.stack(scaling(self._spec)))
        for v, name in enumerate(self._spec.names):
            blurs = views_cuda.tables(draws.sigma[:, v])
            count = len(blurs["where"])
            work = [device.empty((max(count, 1), 3, *pictures.shape[2:4]), torch.float32) for _ in range(2)]
            numbers = [send(values[:, v]) for values in (draws.order, draws.factors, draws.grey, draws.flip)]
            found[name] = self._out(len(pictures))
            device.launch(views_cuda.colour, pictures, v, *numbers, factors, send(blurs["slot"]), work[0], found[name])
            if count:
                kernels = [send(blurs[key]) for key in ("where", "weights", "radius")]
                device.launch(views_cuda.blur, work[0], *kernels, work[1], found[name])
        return found

    def _let_go(self, job: Job, output: Any, loans: list[torch.Tensor]) -> None:
        """The device has read it all; what is held by the arguments alone goes back to where it came from."""
        self._lanes.free(job)

    def hand_over(self, batch: Batch) -> Batch:
        assert isinstance(batch, Arriving)
        self._device.hand_over(batch.ready, batch.values())
        return dict(batch)

    def close(self) -> None:
        self._retired.sweep(0)
        super().close()


def _nothing(clips: int, views: int) -> Draws:
    """What leaves pictures as they are. The crop is the matter of `placement`."""
    factors = np.broadcast_to(np.array([1, 1, 1, 0], np.float32), (clips, views, 4))
    no, order = np.zeros((clips, views), bool), np.broadcast_to(np.arange(4), (clips, views, 4))
    return Draws(np.zeros((clips, views, 0, 4)), order, factors, no, np.zeros((clips, views)), no)
