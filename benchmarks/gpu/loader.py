"""The loader at work: against nvJPEG alone and the ordinary loader on the same host, equal to the CPU's, and how idle the CPU is.

The ordinary loader goes first: its workers are forks, which must not happen once this process uses the device.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import ceilings, equality, material, pictures
from benchmarks.gpu.task import Task
from benchmarks.loader.peers import AHEAD, ByIndex, Wanted
from benchmarks.loader.turns import Endless, rates
from benchmarks.machine import portable
from dataio.format.clip import PAIRS
from dataio.stream.loader import ClipLoader, Loader
from dataio.stream.reader import ClipReader
from dataio.stream.spec import ClipSpec
from dataio.stream.store.local import LocalStore

THREADS = (2, 4)
"""Of the loader, besides as many as there are cores: on a GPU they read and little else."""


def measure(task: Task) -> None:
    """Notes `ordinary`, `clips 1 pair`, `clips 4 pairs`, `equal …` and `pictures`, whose fields the functions below explain."""
    shards = material.standard(task.material, task.small)
    specs = {f"{len(pairs)} pair{'s' * (len(pairs) > 1)}": _spec(task, shards, pairs) for pairs in (PAIRS[:1], PAIRS)}
    batch = 4 if task.small else 64
    for name, spec in specs.items():
        task.say(f"the ordinary loader, {name}")
        task.note(f"ordinary {name}", ordinary(task, shards, spec, batch))
    for name, spec in specs.items():
        task.say(f"equality, {name}")
        exact = replace(spec, sound="magnitude", dtype="float32", augment=("turn", "mirror") if len(spec.pairs) == 4 else ())
        task.note(
            f"equal {name}", equality.compare(shards, exact, str(task.device), batch_size=batch, batches=2 if task.small else 4)
        )
    task.note("equal maps", maps(task))
    task.say("nvJPEG alone")
    found = ceilings.jpegs(task, _jpegs(shards, specs["1 pair"], batch), 0.1 if task.small else 0.5)
    for name, spec in specs.items():
        task.say(f"the loader, {name}")
        task.note(f"clips {name}", clips(task, shards, spec, batch, found))
    found.run.close()
    task.say("pictures")
    task.note("pictures", pictures.measure(task))


def _spec(task: Task, shards: Path, pairs: tuple[str, ...]) -> ClipSpec:
    with LocalStore(shards) as store:
        media = store.manifest.media
    sound: dict[str, Any] = {"sound_rate": media.rate, "sound_seconds": media.clip_seconds / 2}
    return ClipSpec(media.frames, media.size, pairs, **sound, yaw_classes=4, dtype="float16" if task.cuda else None)


def ordinary(task: Task, shards: Path, spec: ClipSpec, batch: int) -> dict[str, Any]:
    """`clips_per_second` of torch's DataLoader, a worker a core: torchvision and torch.stft (benchmarks/loader/peers.py)."""
    workers = 1 if task.small else len(os.sched_getaffinity(0))
    spec = replace(spec, dtype=None)
    with ClipLoader(shards, spec, batch_size=batch, threads=1) as loader:
        picks = loader.planned(0, np.arange(loader.clips))
        dataset = ByIndex(shards, spec, [Wanted(*loader.locate(pick), pick.shift, pick.start) for pick in picks])
    other = torch.utils.data.DataLoader(
        dataset, batch, drop_last=True, num_workers=workers, persistent_workers=True, worker_init_fn=_alone, prefetch_factor=AHEAD
    )
    run = Endless(other, AHEAD * workers + 1)
    seconds = 0.2 if task.small else 6.0
    seen = rates({"torch DataLoader": run}, batch, rounds=1, seconds=seconds, say=lambda text: None)
    return {"workers": workers, "clips_per_second": seen["torch DataLoader"]["median"]}


def _alone(_: int) -> None:
    torch.set_num_threads(1)


def maps(task: Task) -> dict[str, Any]:
    """Mask, labels, and flow where OpenCV reads it, of a small set, mirrored and turned: see `equality.compare`."""
    from importlib.util import find_spec

    shards = material.whole(task.material / "maps")
    sound: dict[str, Any] = {"sound_rate": material.MAPS_RATE, "sound_seconds": 0.25}
    spec = ClipSpec(frames=4, size=(32, 64), yaw_classes=4, augment=("mirror",), mask=True, labels=True, dtype="float32", **sound)
    return equality.compare(shards, replace(spec, flow=find_spec("cv2") is not None), str(task.device), batch_size=4, batches=3)


def clips(task: Task, shards: Path, spec: ClipSpec, batch: int, found: ceilings.Ceiling) -> dict[str, Any]:
    """The loader at its best number of threads, in turn with nvJPEG alone.

    Returns:
        JSON: `ceiling` and `loader` (clips/s: median, min, max), `share`, `cores` that the process kept busy while the loader ran
        alone, `by_threads` (threads → clips/s and cores), `settings` of the ceiling and all that were `tried` (clips/s), `report`.
    """
    cores = len(os.sched_getaffinity(0))
    by_threads = {}
    for threads in (1,) if task.small else sorted({*THREADS, cores}):
        with ClipLoader(shards, spec, batch_size=batch, threads=threads, device=str(task.device)) as loader:
            by_threads[threads] = pace(task, loader, batch, 0.3 if task.small else 4.0)
    threads = max(by_threads, key=lambda n: by_threads[n]["clips_per_second"])
    with ClipLoader(shards, spec, batch_size=batch, threads=threads, device=str(task.device)) as loader:
        seen = against(task, loader, found.run, batch)
        report = portable(loader.report())
    return seen | {
        "spec": asdict(spec),
        "batch_size": batch,
        "threads": threads,
        "cores": by_threads[threads]["cores"],
        "by_threads": by_threads,
        "settings": found.settings,
        "tried": {name: batch * each for name, each in found.tried.items()},
        "report": report,
    }


def against(
    task: Task, loader: Loader, ceiling: Callable[[], object], batch: int, *, rounds: int = 3, seconds: float = 3.0
) -> dict[str, Any]:
    """Loader and ceiling in turn: `loader`, `ceiling`, `share`."""
    seconds, rounds = (0.3, 1) if task.small else (seconds, rounds)
    taking = Endless(loader, loader.batches_ahead)
    both: dict[str, Callable[[], object]] = {"ceiling": ceiling, "loader": _Synchronised(task, taking)}
    seen = rates(both, batch, rounds=rounds, seconds=seconds, say=lambda text: None)
    return {**seen, "share": seen["loader"]["median"] / seen["ceiling"]["median"]}


class _Synchronised(Endless):
    """A batch counts when the device has made it."""

    def __init__(self, task: Task, taking: Endless) -> None:
        self._task, self._taking, self.ahead = task, taking, taking.ahead

    def __call__(self) -> object:
        batch = self._taking()
        self._task.synchronize()
        return batch


def pace(task: Task, loader: Loader, batch: int, seconds: float) -> dict[str, float]:
    """`clips_per_second` of a loader that runs alone, and `cores`: CPU seconds of this process a second of the clock.

    The caller's share is in it: a loop that waits for the device with `synchronize` would spin, so this one does not.
    """
    run = Endless(loader, 0)
    for _ in range(2 * loader.batches_ahead):
        run()
    task.synchronize()
    count, cpu, start = 0, time.process_time(), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or count < 2:
        run()
        count += 1
    busy = time.process_time() - cpu
    return {"clips_per_second": batch * count / elapsed, "cores": busy / elapsed}


def _jpegs(shards: Path, spec: ClipSpec, batch: int) -> list[np.ndarray]:
    """The JPEGs of the first clips, as the loader would read them, in memory of their own."""
    with LocalStore(shards) as store:
        reader = ClipReader(store, spec)
        ids: Iterable[int] = range(batch)
        return [np.array(part) for clip in ids for part in reader.read(clip, 0, 0, False).picture.parts]
