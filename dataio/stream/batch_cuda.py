"""Batches on a GPU. Tasks read bytes; everything else the device does, as it comes to it, while this thread prepares the next
batch.

Written for the GPU and tried with a device that does everything as late as it may (tests/dataio/stream/device); docs/gpu says what
has run on one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import torch

from dataio.stream import staging
from dataio.stream.batch import Batch, Job, await_job, small_fields
from dataio.stream.batch_cpu import shapes
from dataio.stream.batch_dali import DaliBatcher
from dataio.stream.decode.flat import Flat
from dataio.stream.device.device import Arriving, Device
from dataio.stream.device.retired import Retired, Span
from dataio.stream.kernels import rotate
from dataio.stream.lanes import LANES, Lanes
from dataio.stream.meter import Meter
from dataio.stream.pictures import Pictures
from dataio.stream.spec import MAPS
from dataio.stream.supply import Served, Supply

_SIZES = 16  # of stored pictures, whose tables are kept
_BEHIND = 1  # batches that the device may still be at work on when the next one is finished


class CudaBatcher(DaliBatcher):
    """Frames, sound and maps go to the device as they are stored, and are decoded, turned and heard there.

    Where maps have no size that all share, the tasks turn them on the CPU. Stages are timed by the device's clock; `decode` is how
    long its stream waited for the pictures.

    Args:
        device: where. The others: as in `DaliBatcher`.
    """

    _lanes = LANES
    ahead = 3  # while one is turned and the next decoded, one is read

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
        device: Device,
    ) -> None:
        spec, self._device = supply.spec, device
        sizes = {reader.store.manifest.media.size for reader in supply.readers}
        size = next(iter(sizes)) if len(sizes) == 1 and sizes != {(0, 0)} else None
        self._made_by_tasks = MAPS if size is None else ()
        with device.entered():
            super().__init__(supply, pictures, flat, batch_size=batch_size, workers=workers, readers=readers, meter=meter)
        self._buffers = device.host
        self._layout = staging.layout(spec, size)
        self._frames = Lanes(self._pipelines)
        self._retired = Retired(meter)
        self._tables = lru_cache(_SIZES)(lambda stored: device.tables(rotate.plan(stored, spec.size)))
        self._stored = size

    def _share(self, pipe: Any) -> Any:
        return self._device.share(pipe)

    def _lend(self, clips: int) -> Batch:
        return (super()._lend(clips) | staging.lend(self._layout, clips, self._device.host)) if clips else {}

    def _prepare(self, job: Job) -> None:
        if job.picks and self._spec.frames:
            self._frames.expect(job)

    def _write(self, out: dict[str, Any], served: Served) -> None:
        staging.fill(out, served, self._supply.readers[served.pick.source])
        if self._made_by_tasks:
            super()._write(out, served)

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        with self._device.entered():
            self._retired.sweep(_BEHIND)
            if not job.picks:  # nothing was made; who asks for a field finds it all the same
                fields = {name: self._out(name, 0) for name in shapes(self._spec)} | small_fields(self._spec, self._supply, job)
                return Arriving({name: value.to(self._device.where) for name, value in fields.items()}, self._device.mark())
            return self._made(job, check)

    def _made(self, job: Job, check: Callable[[], None]) -> Arriving:
        """Everything of a batch, asked for and not waited for."""
        spec, device, clips = self._spec, self._device, len(job.picks)
        spans: list[Span] = []
        pictures: Any = None
        if spec.frames:
            begin = device.mark()
            pictures = self._frames.decode(job, partial(self._mend, check))  # replaces clips, so before anything is sent
            spans.append(("decode", begin, device.mark()))
        with self._timed("copy", spans):
            loans = job.fields | self._lent(small_fields(spec, self._supply, job))
            there = {name: device.send(values) for name, values in loans.items()}
        turns = [there.pop(name).view(clips) for name in ("shift", "mirror") if name in there]
        turns += [there.pop("matrix")] if "matrix" in there else []
        for field, prefix in (("sound", ""), ("partner_sound", "partner_")):
            if prefix + "pcm" in there:
                with self._timed("spectrogram", spans):
                    there[field] = self._heard(field, there.pop(prefix + "pcm"), there.pop(prefix + "gains"))
        if self._stored is not None and spec.maps:
            with self._timed("maps", spans):
                self._map(there, turns)
        if spec.frames:
            with self._timed("rotate", spans):
                there["frames"] = self._turned(device.blocks(pictures), turns)
        ready = device.mark()
        self._retired.add(ready, partial(self._let_go, job, pictures, loans), spans)
        job.fields, job.kept = {}, [None] * clips
        return Arriving(there, ready)

    @contextmanager
    def _timed(self, stage: str, spans: list[Span]) -> Iterator[None]:
        begin = self._device.mark()
        yield
        spans.append((stage, begin, self._device.mark()))

    def _lent(self, fields: Batch) -> Batch:
        """The same in memory that the device copies from."""
        found = {name: self._device.host.lend(tuple(v.shape), v.numpy().dtype.type) for name, v in fields.items()}
        for name, room in found.items():
            room.copy_(fields[name])
        return found

    def _out(self, name: str, clips: int) -> torch.Tensor:
        """Room for a large field on the device."""
        half = name == "frames" and self._spec.dtype != "float32"
        kind = torch.uint8 if name in ("mask", "labels") else torch.float16 if half else torch.float32
        return self._device.empty((clips, *shapes(self._spec)[name]), kind)

    def _heard(self, field: str, pcm: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
        """pcm (B, P, n, 2) and gains (B, P, 2) → what `sound_shape` says."""
        from dataio.stream.kernels import stft, stft_cuda

        out, pairs = self._out(field, len(pcm)), pcm.shape[0] * pcm.shape[1]
        parts = (2, 2) if self._spec.sound == "complex" else (2,)
        grid = (stft.BINS, stft.columns(self._spec.samples))
        target = out.view(pairs, *parts, *grid)
        self._device.launch(stft_cuda.spectrogram, pcm.flatten(0, 1), gains.flatten(0, 1), target, self._spec.sound)
        return out

    def _map(self, there: Batch, turns: list[torch.Tensor]) -> None:
        """The maps as they are stored, in `there`, into what the batch wants."""
        from dataio.stream.kernels import maps_cuda, tilt_cuda

        kernels = tilt_cuda if self._spec.tilt else maps_cuda
        valid = there.pop("valid", None)
        for name in self._spec.maps:
            out = self._out(name, len(turns[0]))
            if name == "flow":
                self._device.launch(kernels.turn_flow, there[name], valid, *turns, self._tables(self._stored), out)
            else:
                self._device.launch(kernels.turn_labels, there[name], *turns, self._spec.size, out)
            there[name] = out

    def _turned(self, blocks: list[torch.Tensor], turns: list[torch.Tensor]) -> torch.Tensor:
        """Blocks of pictures of one size, in the order of the clips, into the frames of the batch."""
        from dataio.stream.kernels import rotate_cuda, tilt_cuda

        kernel = tilt_cuda.rotate if self._spec.tilt else rotate_cuda.rotate
        out, at = self._out("frames", len(turns[0])), 0
        for block in blocks:
            pictures = block.view(-1, self._spec.frames, *block.shape[-3:])
            end = at + len(pictures)
            tables = self._tables(tuple(block.shape[-3:-1]))
            self._device.launch(kernel, pictures, *(turn[at:end] for turn in turns), tables, out[at:end])
            at = end
        return out

    def _let_go(self, job: Job, pictures: Any, loans: Batch) -> None:
        """The device has read it all; what is held by the arguments alone goes back to where it came from."""
        if self._spec.frames:
            self._frames.free(job)

    def hand_over(self, batch: Batch) -> Batch:
        assert isinstance(batch, Arriving)
        self._device.hand_over(batch.ready, batch.values())
        return dict(batch)

    def close(self) -> None:
        self._retired.sweep(0)
        super().close()
