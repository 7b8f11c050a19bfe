"""Batches on the CPU: DALI decodes in its threads; numba kernels turn frames and take spectrograms in ours."""

from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
from nvidia.dali.pipeline import Pipeline

from dataio.stream import batch, graphs
from dataio.stream.buffers import BufferPool
from dataio.stream.kernels import rotate, stft
from dataio.stream.meter import Meter
from dataio.stream.order.choices import Choices
from dataio.stream.reader import ClipReader, RawClip
from dataio.stream.spec import ClipSpec, SpecError


def sound_shape(spec: ClipSpec) -> tuple[int, ...]:
    """Shape of one clip's sound: (2P, 257, T), complex (2P, 2, 257, T), ipd (P, 2, 257, T)."""
    grid = (stft.BINS, stft.columns(spec.samples))
    pairs = len(spec.pairs)
    return {"complex": (2 * pairs, 2, *grid), "ipd": (pairs, 2, *grid)}.get(spec.sound, (2 * pairs, *grid))


class CpuBatcher:
    """Every clip is one task a stage, in `threads` threads; DALI has as many of its own, and the two take turns.

    Raises:
        SpecError: frames in float16, which the CPU's kernel does not write.
    """

    def __init__(self, reader: ClipReader, *, batch_size: int, threads: int, meter: Meter) -> None:
        self._reader, self._spec, self._meter = reader, reader.spec, meter
        if self._spec.dtype == "float16":
            raise SpecError("dtype='float16': on the cpu frames are float32")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sonosphere-clip")
        self._buffers = BufferPool()
        media = reader.store.manifest.media
        self._rate = media.rate
        self._resize = rotate.plan(media.size, self._spec.size)
        self._pipe = graphs.frames("cpu", batch=batch_size * self._spec.frames, threads=threads) if self._spec.frames else None

    def start(self, clips: np.ndarray, choices: Choices) -> batch.Job:
        return batch.start(self._pool, self._reader, self._meter, clips, choices)

    def finish(self, job: batch.Job) -> batch.Batch:
        raws = [read.result() for read in job.reads]
        fields = batch.labels(self._spec, job, raws, self._rate)
        if self._pipe:
            batch.schedule(self._pipe, raws)
        tasks: list[Future[None]] = []
        if self._spec.pairs:
            fields["sound"] = self._buffers.lend((len(raws), *sound_shape(self._spec)))
            out = fields["sound"].numpy()
            tasks += [self._pool.submit(self._sound, raw, out[i]) for i, raw in enumerate(raws)]
        if self._pipe:
            fields["frames"] = self._buffers.lend((len(raws), 3, self._spec.frames, *self._spec.size))
            self._rotate(self._pipe, job, fields["frames"].numpy())
        wait(tasks)
        for task in tasks:
            task.result()
        return fields

    def _rotate(self, pipe: Pipeline, job: batch.Job, out: np.ndarray) -> None:
        with self._meter.clock("decode"):
            decoded = batch.collect(pipe, job)
        pictures = np.asarray(decoded.as_tensor()).reshape(len(out), self._spec.frames, *self._resize.stored, 3)

        def turn(i: int) -> None:
            with self._meter.clock("rotate", cpu=True):
                rotate.rotate(pictures[i], int(job.choices.shift[i]), bool(job.choices.mirror[i]), self._resize, out[i])

        list(self._pool.map(turn, range(len(out))))
        pipe.release_outputs()

    def _sound(self, raw: RawClip, out: np.ndarray) -> None:
        with self._meter.clock("spectrogram", cpu=True):
            ears = 1 if self._spec.sound == "ipd" else 2
            for p, pcm in enumerate(raw.pairs):
                target = out[p] if ears == 1 else out[2 * p : 2 * p + 2]
                stft.spectrogram(pcm, raw.gains[p], target, self._spec.sound)

    @property
    def buffer_bytes(self) -> int:
        """Memory of all batches that were ever out at the same time."""
        return self._buffers.bytes

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._buffers.clear()
        self._pipe = None
