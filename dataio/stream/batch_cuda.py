"""Batches on the GPU: nvJPEG decodes, a numba kernel turns, DALI takes the spectrograms; docs/gpu says what of it has run."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from dataio.stream import batch, graphs
from dataio.stream.kernels import rotate, rotate_cuda, stft
from dataio.stream.meter import Meter
from dataio.stream.order.choices import Choices
from dataio.stream.reader import ClipReader
from dataio.stream.spec import SpecError

_KINDS = ("log", "magnitude")


class CudaBatcher:
    """The same stages as on the CPU, in the same graphs. Ears are decoded as one flat batch of mono signals.

    Raises:
        SpecError: a kind of sound that the GPU graph does not give.
    """

    def __init__(self, reader: ClipReader, *, batch_size: int, threads: int, meter: Meter, device: str) -> None:
        self._reader, self._spec, self._meter = reader, reader.spec, meter
        self._device = torch.device(device)
        spec = self._spec
        if spec.pairs and spec.sound not in _KINDS:
            raise SpecError(f"sound={spec.sound!r}: on {device} it may be {' or '.join(_KINDS)}; on the cpu any kind")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sonosphere-clip")
        media = reader.store.manifest.media
        self._rate = media.rate
        self._tables = rotate_cuda.Tables(rotate.plan(media.size, spec.size))
        self._frames = graphs.frames(device, batch=batch_size * spec.frames, threads=threads) if spec.frames else None
        ears = 2 * len(spec.pairs)
        self._sound = graphs.sound(device, batch=batch_size * ears, threads=threads, kind=spec.sound) if ears else None

    def start(self, clips: np.ndarray, choices: Choices) -> batch.Job:
        return batch.start(self._pool, self._reader, self._meter, clips, choices)

    def finish(self, job: batch.Job) -> batch.Batch:
        raws = [read.result() for read in job.reads]
        fields = batch.labels(self._spec, job, raws, self._rate)
        with self._meter.clock("copy"):
            fields = {name: value.to(self._device, non_blocking=True) for name, value in fields.items()}
        if self._frames:
            batch.schedule(self._frames, raws)
        if self._sound:
            self._sound.feed_input(
                "pcm", [np.ascontiguousarray(pair[:, ear]) for raw in raws for pair in raw.pairs for ear in (0, 1)]
            )
            self._sound.feed_input("gain", [gain for raw in raws for gain in raw.gains.reshape(-1)])
            self._sound.schedule_run()
            with self._meter.clock("spectrogram"):
                flat = torch.from_dlpack(self._sound.share_outputs()[0].as_tensor())
                # DALI uses its memory again for the next run, so the batch takes a copy that the user may keep
                fields["sound"] = flat.reshape(len(raws), 2 * len(self._spec.pairs), stft.BINS, -1).clone()
            self._sound.release_outputs()
        if self._frames:
            with self._meter.clock("decode"):
                decoded = torch.from_dlpack(batch.collect(self._frames, job).as_tensor())
            with self._meter.clock("rotate"):
                fields["frames"] = self._rotate(job, decoded)
            self._frames.release_outputs()
        torch.cuda.synchronize(self._device)
        return fields

    def _rotate(self, job: batch.Job, decoded: torch.Tensor) -> torch.Tensor:
        spec, clips = self._spec, len(job.clips)
        dtype = torch.float32 if spec.dtype == "float32" else torch.float16
        out = torch.empty((clips, 3, spec.frames, *spec.size), dtype=dtype, device=self._device)
        shift = torch.from_numpy(job.choices.shift).to(self._device)
        mirror = torch.from_numpy(job.choices.mirror).to(self._device)
        pictures = decoded.reshape(clips, spec.frames, *self._tables.resize.stored, 3)
        rotate_cuda.rotate(pictures, shift, mirror, self._tables, out, torch.cuda.current_stream(self._device).cuda_stream)
        return out

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._frames = self._sound = None
