"""Batches on the CPU. A clip is one task: it is read, decoded picture by picture, turned and heard while it is in the cache."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from dataio.stream.batch import Batch, Job, await_job, small_fields
from dataio.stream.kernels import stft
from dataio.stream.meter import Meter
from dataio.stream.pictures import Pictures
from dataio.stream.reader import Sound
from dataio.stream.spec import MAPS, ClipSpec, SpecError
from dataio.stream.supply import Served, Supply
from dataio.stream.tasks import TaskBatcher


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


class CpuBatcher(TaskBatcher):
    """Every task makes a whole clip: it is decoded, turned and heard while it is in the cache.

    Raises:
        SpecError: frames in float16, which the CPU's kernel does not write.
    """

    _made_by_tasks: tuple[str, ...] = ("frames", "sound", "partner_sound", *MAPS)
    """Fields that the tasks fill, as far as the spec asks for them."""

    def __init__(self, supply: Supply, pictures: Sequence[Pictures], *, workers: int, readers: int, meter: Meter) -> None:
        super().__init__(supply, workers=workers, readers=readers, meter=meter)
        self._spec = supply.spec
        if self._spec.dtype == "float16" and "frames" in self._made_by_tasks:
            raise SpecError("dtype='float16': on the cpu frames are float32")
        self._pictures = pictures
        self._shapes = {name: shape for name, shape in shapes(self._spec).items() if name in self._made_by_tasks}

    def _lend(self, clips: int) -> Batch:
        kinds = {name: np.uint8 if name in ("mask", "labels") else np.float32 for name in self._shapes}
        return {name: self._buffers.lend((clips, *shape), kinds[name]) for name, shape in self._shapes.items()}

    def finish(self, job: Job, check: Callable[[], None]) -> Batch:
        await_job(job, check)
        return self._collected(job)

    def _collected(self, job: Job) -> Batch:
        return small_fields(self._spec, self._supply, job) | job.fields

    def _attempt(self, job: Job, i: int) -> Callable[[Served], None]:
        return partial(self._write, self._slot(job, i))

    @staticmethod
    def _slot(job: Job, i: int) -> dict[str, np.ndarray]:
        """Where clip i belongs, by field."""
        return {name: tensor.numpy()[i] for name, tensor in job.fields.items()}

    def _write(self, out: dict[str, np.ndarray], served: Served) -> None:
        pick, raw = served.pick, served.raw
        self._pictures[pick.source].write(raw, pick.shift, pick.mirror, out, pick.tilt)
        if raw.sound is not None and "sound" in out:
            self._hear(raw.sound, out["sound"])
        if served.partner is not None and "partner_sound" in out:
            self._hear(served.partner.sound, out["partner_sound"])

    def _hear(self, sound: Sound, out: np.ndarray) -> None:
        with self._meter.clock("spectrogram", cpu=True):
            for p, pcm in enumerate(sound.pairs):
                target = out[p] if self._spec.sound == "ipd" else out[2 * p : 2 * p + 2]
                stft.spectrogram(pcm, sound.gains[p], target, self._spec.sound)
