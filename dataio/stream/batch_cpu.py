"""Batches on the CPU. A clip is one task: it is read, decoded picture by picture, turned and heard while it is in the cache."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from dataio.stream.batch import Batch, Job, Step, await_job, small_fields
from dataio.stream.buffers import BufferPool
from dataio.stream.errors import CorruptClipError
from dataio.stream.kernels import stft
from dataio.stream.meter import Meter
from dataio.stream.pictures import Pictures
from dataio.stream.pool import Pool
from dataio.stream.reader import Sound
from dataio.stream.spec import MAPS, ClipSpec, SpecError
from dataio.stream.supply import Pick, Served, Supply


def sound_shape(spec: ClipSpec) -> tuple[int, ...]:
    """Shape of one clip's sound: (2P, 257, T), complex (2P, 2, 257, T), ipd (P, 2, 257, T)."""
    grid = (stft.BINS, stft.columns(spec.samples))
    pairs = len(spec.pairs)
    return {"complex": (2 * pairs, 2, *grid), "ipd": (pairs, 2, *grid)}.get(spec.sound, (2 * pairs, *grid))


def shapes(spec: ClipSpec) -> dict[str, tuple[int, ...]]:
    """Shape of one clip's part of every large field that the spec asks for."""
    found: dict[str, tuple[int, ...]] = {}
    if spec.frames:
        found["frames"] = (3, spec.frames, *spec.size)
    if spec.pairs:
        found["sound"] = sound_shape(spec)
    if spec.partner:
        found["partner_sound"] = sound_shape(spec)
    for name in spec.maps:
        found[name] = (2 if name == "flow" else 1, *spec.size)
    return found


class CpuBatcher:
    """`workers` threads make clips; with `readers` > 0 as many others read them first, which is right where reading is waiting.

    Raises:
        SpecError: frames in float16, which the CPU's kernel does not write.
    """

    _made_by_tasks: tuple[str, ...] = ("frames", "sound", "partner_sound", *MAPS)
    """Fields that the tasks fill, as far as the spec asks for them."""

    def __init__(self, supply: Supply, pictures: Sequence[Pictures], *, workers: int, readers: int, meter: Meter) -> None:
        self._supply, self._spec, self._meter = supply, supply.spec, meter
        if self._spec.dtype == "float16" and "frames" in self._made_by_tasks:
            raise SpecError("dtype='float16': on the cpu frames are float32")
        self._pictures = pictures
        self._shapes = {name: shape for name, shape in shapes(self._spec).items() if name in self._made_by_tasks}
        self._buffers = BufferPool()
        self._workers = Pool(workers, "sonosphere-clip")
        self._readers = Pool(readers, "sonosphere-read") if readers else None

    def start(self, step: Step, picks: Sequence[Pick]) -> Job:
        job = Job(step, picks)
        for name, shape in self._shapes.items():
            job.fields[name] = self._buffers.lend((len(picks), *shape), np.uint8 if name in ("mask", "labels") else np.float32)
        for i in range(len(picks)):
            if self._readers is not None:
                self._readers.submit(job, partial(self._read, job, i))
            else:
                self._workers.submit(job, partial(self._make, job, i, None))
        return job

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        return self._collected(job)

    def _collected(self, job: Job) -> Batch:
        return small_fields(self._spec, self._supply, job) | job.fields

    def _read(self, job: Job, i: int) -> None:
        try:
            first: Served | CorruptClipError = self._supply.read(job.picks[i])
        except CorruptClipError as error:
            first = error
        self._workers.submit(job, partial(self._make, job, i, first))

    def _make(self, job: Job, i: int, first: Served | CorruptClipError | None) -> None:
        job.done(i, self._supply.healthy(job.picks[i], partial(self._write, self._slot(job, i)), first).facts)

    @staticmethod
    def _slot(job: Job, i: int) -> dict[str, np.ndarray]:
        """Where clip i belongs, by field."""
        return {name: tensor.numpy()[i] for name, tensor in job.fields.items()}

    def _write(self, out: dict[str, np.ndarray], served: Served) -> None:
        pick, raw = served.pick, served.raw
        self._pictures[pick.source].write(raw, pick.shift, pick.mirror, out)
        if raw.sound is not None and "sound" in out:
            self._hear(raw.sound, out["sound"])
        if served.partner is not None and "partner_sound" in out:
            self._hear(served.partner.sound, out["partner_sound"])

    def _hear(self, sound: Sound, out: np.ndarray) -> None:
        with self._meter.clock("spectrogram", cpu=True):
            for p, pcm in enumerate(sound.pairs):
                target = out[p] if self._spec.sound == "ipd" else out[2 * p : 2 * p + 2]
                stft.spectrogram(pcm, sound.gains[p], target, self._spec.sound)

    def queues(self) -> dict[str, float]:
        found = {"read": float(self._readers.waiting)} if self._readers is not None else {}
        return found | {"clip": float(self._workers.waiting)}

    @property
    def buffer_bytes(self) -> int:
        """Memory of all batches that were ever out at the same time."""
        return self._buffers.bytes

    def close(self) -> None:
        for pool in (self._readers, self._workers):
            if pool is not None:
                pool.close()
        self._buffers.clear()
