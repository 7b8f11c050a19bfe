"""Batches on the GPU: nvJPEG decodes, a numba kernel turns, DALI takes the spectrograms; docs/gpu says what of it has run."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from dataio.stream.batch import Batch, Job, await_job
from dataio.stream.batch_cpu import shapes
from dataio.stream.batch_dali import DaliBatcher
from dataio.stream.decode import graphs
from dataio.stream.decode.flat import Flat
from dataio.stream.kernels import rotate_cuda, stft
from dataio.stream.meter import Meter
from dataio.stream.pictures import Pictures
from dataio.stream.reader import Sound
from dataio.stream.spec import MAPS, SpecError
from dataio.stream.supply import Supply

_KINDS = ("log", "magnitude")


class CudaBatcher(DaliBatcher):
    """Tasks read, and turn the maps, on the CPU; frames and sound go to the device as they are stored.

    Raises:
        SpecError: a kind of sound that the GPU graph does not give, or sets whose pictures differ in size.
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
        device: str,
    ) -> None:
        spec = supply.spec
        self._device = torch.device("cuda", torch.device(device).index or 0)
        if spec.pairs and spec.sound not in _KINDS:
            raise SpecError(f"sound={spec.sound!r}: on {device} it may be {' or '.join(_KINDS)}; on the cpu any kind")
        sizes = {reader.store.manifest.media.size for reader in supply.readers}
        if spec.frames and len(sizes) > 1:
            raise SpecError(
                f"frames={spec.frames}: on {device} all sets must store pictures of one size, these have {sorted(sizes)}"
            )
        # the thread that finishes batches is not this one, so whatever it does names the device and the stream
        with torch.cuda.device(self._device):
            self._stream = torch.cuda.Stream(self._device)
            super().__init__(supply, pictures, flat, batch_size=batch_size, workers=workers, readers=readers, meter=meter)
            self._tables = rotate_cuda.Tables(self._resizes[0]) if spec.frames else None
            ears = 2 * len(spec.pairs) * (2 if spec.partner else 1)
            self._sound = graphs.sound(device, batch=batch_size * ears, threads=workers, kind=spec.sound) if ears else None

    _made_by_tasks = MAPS

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            fields: Batch = {}
            if job.picks and self._spec.frames:
                with self._meter.clock("decode"):
                    decoded = self._frames.run(self._parts(job), partial(self._mend, job, check))
                try:
                    with self._meter.clock("rotate"):
                        fields["frames"] = self._turn_all(job, torch.from_dlpack(decoded.as_tensor()))
                    self._stream.synchronize()  # DALI uses its memory again after this
                finally:
                    self._frames.release()
            if job.picks and self._sound is not None:
                with self._meter.clock("spectrogram"):
                    fields |= self._hear_all(job)
            with self._meter.clock("copy"):
                fields |= {name: value.to(self._device, non_blocking=True) for name, value in self._collected(job).items()}
                self._stream.synchronize()  # so that the batch may be used on any stream
        if not job.picks:  # nothing was made; who asks for a field finds it all the same
            missing = {name: shape for name, shape in shapes(self._spec).items() if name not in fields}
            for name, shape in missing.items():
                dtype = self._dtype if name == "frames" else torch.float32
                fields[name] = torch.empty((0, *shape), dtype=dtype, device=self._device)
        return fields

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float32 if self._spec.dtype == "float32" else torch.float16

    def _turn_all(self, job: Job, decoded: torch.Tensor) -> torch.Tensor:
        spec, clips = self._spec, len(job.picks)
        picks = [facts.pick for facts in job.made if facts is not None]
        assert self._tables is not None
        out = torch.empty((clips, 3, spec.frames, *spec.size), dtype=self._dtype, device=self._device)
        shift = torch.tensor([pick.shift for pick in picks], device=self._device)
        mirror = torch.tensor([int(pick.mirror) for pick in picks], device=self._device)
        pictures = decoded.reshape(clips, spec.frames, *self._tables.resize.stored, 3)
        rotate_cuda.rotate(pictures, shift, mirror, self._tables, out, self._stream.cuda_stream)
        return out

    def _hear_all(self, job: Job) -> Batch:
        """Ears as one flat batch of mono signals: those of the clips, then those of their partners."""
        assert self._sound is not None
        kept = [served for served in job.kept if served is not None]
        sounds: list[Sound] = [served.raw.sound for served in kept if served.raw.sound is not None]
        partners = [served.partner.sound for served in kept if served.partner is not None]
        heard = sounds + partners
        ears = [np.ascontiguousarray(pair[:, ear]) for sound in heard for pair in sound.pairs for ear in (0, 1)]
        self._sound.feed_input("pcm", ears)
        self._sound.feed_input("gain", [gain for sound in heard for gain in sound.gains.reshape(-1)])
        self._sound.schedule_run()
        flat: Any = torch.from_dlpack(self._sound.share_outputs()[0].as_tensor())
        # DALI uses its memory again for the next run, so the batch takes a copy that the user may keep
        every = flat.reshape(len(heard), 2 * len(self._spec.pairs), stft.BINS, -1).clone()
        self._stream.synchronize()
        self._sound.release_outputs()
        fields = {"sound": every[: len(sounds)]}
        return fields | ({"partner_sound": every[len(sounds) :]} if partners else {})

    def close(self) -> None:
        super().close()
        self._sound = None
