"""How frames should be kept for a GPU: JPEGs, or one container a clip, by codec and length of its groups of pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu import ceilings, material
from benchmarks.gpu.loader import against, pace
from benchmarks.gpu.task import PartError, Task
from dataio.stream.loader import ClipLoader
from dataio.stream.reader import ClipReader
from dataio.stream.spec import ClipSpec
from dataio.stream.store.local import LocalStore

WANTED = (8, material.FRAMES)
"""Frames of a clip that are asked for: some, spread evenly, as a model wants them; and all."""
_CPU = ("jpeg", "vp9")
"""What DALI decodes in a rehearsal, where there is no GPU."""


def measure(task: Task) -> None:
    """Notes for each of material.FORMATS `bytes`, `psnr`, and for each number of frames `loader`, `ceiling`, `share` and `cores`.

    Raises:
        PartError: a format did not come out; the others were measured all the same.
    """
    wrong = []
    for name in material.FORMATS:
        if task.left < 10:
            raise PartError(f"no time was left for {name} and what comes after it")
        task.say(name)
        shards, length, psnr = material.formats(task.material, name, task.small)
        found: dict[str, Any] = {"bytes": length, "psnr": psnr}
        task.note(name, found)
        if not task.cuda and not name.startswith(_CPU):
            continue
        for frames in WANTED:
            try:
                found[f"{frames} frames"] = one(task, shards, frames)
            except Exception as error:  # a codec that this device lacks must not hide the others
                wrong.append(f"{name}, {frames} frames: {type(error).__name__}: {error}")
                found[f"{frames} frames"] = {"error": wrong[-1]}
            task.note(name, found)
    if wrong:
        raise PartError("; ".join(wrong))


def one(task: Task, shards: Path, frames: int) -> dict[str, Any]:
    """One set, so many frames of every clip, in clips/s."""
    seconds, batch = (0.1, 2) if task.small else (0.5, 32)
    with LocalStore(shards) as store:
        media = store.manifest.media
        spec = ClipSpec(frames=frames, size=media.size, pairs=(), yaw_classes=4, dtype="float16" if task.cuda else None)
        reader = ClipReader(store, spec)
        data = [np.array(part) for clip in range(batch) for part in reader.read(clip, 0, 0, False).picture.parts]
    if media.picture == "jpeg":
        ceiling = ceilings.jpegs(task, data, seconds, threads=(4, 8), loads=(0.65, 1.0))
    else:
        numbers = [i * media.frames // frames for i in range(frames)]
        ceiling = ceilings.videos(task, data, numbers, seconds)
    threads = 2 if task.small else 4
    with ClipLoader(shards, spec, batch_size=batch, threads=threads, device=str(task.device)) as loader:
        alone = pace(task, loader, batch, 0.2 if task.small else 2.0)
        seen = against(task, loader, ceiling.run, batch, rounds=2, seconds=1.0)
    ceiling.run.close()
    return seen | {"batch_size": batch, "cores": alone["cores"], "settings": ceiling.settings}
