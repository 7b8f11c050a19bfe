"""Batches of views on the GPU: DALI decodes, crops and resizes, numba kernels colour and blur; docs/gpu says what of it has run."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from dataio.stream.batch import Batch, Job, await_job
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.form import suspicious_jpeg
from dataio.stream.errors import CorruptClipError
from dataio.stream.images import views_cuda
from dataio.stream.images.batcher import ViewBatcher, ids
from dataio.stream.images.decode import decoder
from dataio.stream.images.draws import Draws
from dataio.stream.images.graph import ViewGraph, placement
from dataio.stream.images.reader import StillClip
from dataio.stream.images.size import jpeg_size
from dataio.stream.images.spec import ViewSpec
from dataio.stream.images.views import scaling
from dataio.stream.meter import Meter
from dataio.stream.supply import Pick, Served, Supply


class CudaViewBatcher(ViewBatcher):
    """Tasks read; all else happens on the device, a batch at a time. Fields as on the CPU; views are float16 by default."""

    _on_cpu = False

    def __init__(
        self, supply: Supply, spec: ViewSpec, *, seed: int, batch_size: int, workers: int, readers: int, meter: Meter, device: str
    ) -> None:
        super().__init__(supply, spec, seed=seed, workers=workers, readers=readers, meter=meter)
        self.decoder = "dali"
        self._device = torch.device("cuda", torch.device(device).index or 0)
        # the thread that finishes batches is not this one, so whatever it does names the device and the stream
        with torch.cuda.device(self._device):
            self._stream = torch.cuda.Stream(self._device)
            self._decoding = Decoding(supply, ViewGraph(spec, str(self._device), batch=batch_size, threads=workers), self._draw)
            self._scaling = [torch.from_numpy(values).to(self._device) for values in scaling(spec)]

    def _lend(self, clips: int) -> Batch:
        return {}

    def _prepare(self, job: Job) -> None:
        """Numbers are drawn when it is known which pictures the batch has."""

    def _write(self, job: Job, i: int, served: Served) -> None:
        try:
            jpeg_size(served.raw.picture.parts[0])
        except DecodeError as error:
            raise broken(self._supply, served, error.reason) from error

    def _keep(self, job: Job, i: int, served: Served) -> None:
        job.kept[i] = served

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            views: Batch = {}
            if job.picks:
                with self._meter.clock("decode"):
                    draws, decoded = self._decoding.run(job)
                try:
                    with self._meter.clock("views"):
                        views = self._views_of(torch.from_dlpack(decoded.as_tensor()), draws)
                        self._stream.synchronize()  # DALI uses its memory again after this
                finally:
                    self._decoding.graph.release()
            else:  # who asks for a field finds it all the same
                dtype = torch.float32 if self._spec.dtype == "float32" else torch.float16
                empty = torch.empty((0, 3, self._spec.size, self._spec.size), dtype=dtype, device=self._device)
                views = {name: empty.clone() for name in self._spec.names}
            labels = [served.raw.label for served in job.kept if served is not None and isinstance(served.raw, StillClip)]
            fields = ids(self._supply, job) | {"label": torch.tensor(labels, dtype=torch.int64)}
            with self._meter.clock("copy"):
                fields = {name: value.to(self._device, non_blocking=True) for name, value in fields.items()}
                self._stream.synchronize()  # so that the batch may be used on any stream
        return views | fields

    def _views_of(self, pictures: torch.Tensor, draws: Draws) -> Batch:
        """pictures: (B, V, S, S, 3) uint8 on the device."""
        spec, count = self._spec, len(pictures)
        dtype = torch.float32 if spec.dtype == "float32" else torch.float16
        there = partial(torch.as_tensor, device=self._device)
        found: Batch = {}
        for v, name in enumerate(spec.names):
            blurs = {key: there(value) for key, value in views_cuda.tables(draws.sigma[:, v]).items()}
            work = torch.empty((2, len(blurs["where"]), 3, spec.size, spec.size), device=self._device)
            found[name] = torch.empty((count, 3, spec.size, spec.size), dtype=dtype, device=self._device)
            numbers = [np.ascontiguousarray(x[:, v]) for x in (draws.order, draws.factors, draws.grey, draws.flip)]
            order, factors, grey, flip = map(there, numbers)
            gain, bias = self._scaling
            stream, (levels, between) = self._stream.cuda_stream, work
            views_cuda.views(pictures[:, v], order, factors, grey, flip, gain, bias, blurs, levels, between, found[name], stream)
        return found

    def close(self) -> None:
        super().close()
        self._decoding.graph.close()


class Decoding:
    """Runs the graph over a batch, and replaces the pictures that it cannot decode by the next healthy ones."""

    def __init__(self, supply: Supply, graph: ViewGraph, draw: Callable[[Sequence[Pick]], Draws]) -> None:
        self._supply, self.graph, self._draw, self._decode = supply, graph, draw, decoder()[1]

    def run(self, job: Job) -> tuple[Draws, Any]:
        """What was drawn for the pictures that the batch has in the end, and their views: a TensorList, valid until `release`.

        Raises:
            DecodeError: the batch fails, although every picture of it can be decoded alone.
        """
        for i, served in enumerate(job.kept):
            if served is not None and suspicious_jpeg(served.raw.picture.parts[0]):
                self._ensure(job, i)
        failures = 0
        while True:
            kept = [served for served in job.kept if served is not None]
            draws = self._draw([served.pick for served in kept])
            jpegs = [served.raw.picture.parts[0] for served in kept]
            places = [placement(self.graph.spec, draws.row(i), jpeg) for i, jpeg in enumerate(jpegs)]
            try:
                return draws, self.graph.run(jpegs, places)
            except RuntimeError as error:
                self.graph.rebuild()
                failures += 1
                replaced = [self._ensure(job, i) for i in range(len(kept))]
                if failures > 1 and not any(replaced):
                    raise DecodeError("DALI fails for the batch, but for none of its pictures alone") from error

    def _ensure(self, job: Job, i: int) -> bool:
        """Whether picture i had to be replaced, because it cannot be decoded."""
        bad = job.kept[i]
        assert bad is not None
        if (error := self._wrong(bad)) is None:
            return False

        def attempt(served: Served) -> None:
            if (found := self._wrong(served)) is not None:
                raise found

        job.kept[i] = served = self._supply.healthy(bad.pick, attempt, error)
        job.made[i] = served.facts
        return True

    def _wrong(self, served: Served) -> CorruptClipError | None:
        jpeg = served.raw.picture.parts[0]
        try:
            self._decode(jpeg)  # the CPU's decoder is stricter with what breaks off
            place = placement(self.graph.spec, self._draw([served.pick]), jpeg)
        except DecodeError as error:
            return broken(self._supply, served, error.reason)
        reason = self.graph.probe(jpeg, place)
        return None if reason is None else broken(self._supply, served, reason)


def broken(supply: Supply, served: Served, reason: str) -> CorruptClipError:
    """The error for a picture whose bytes are as they were written, and yet cannot be decoded."""
    return supply.readers[served.pick.source].broken(served.raw, "views", 0, reason)
