"""Views of single pictures on the device, against decoding alone."""

from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.gpu import ceilings, material
from benchmarks.gpu.task import Task
from dataio.stream.health import Health
from dataio.stream.images.loader import ImageLoader
from dataio.stream.images.reader import StillReader
from dataio.stream.images.spec import ViewSpec
from dataio.stream.store.local import LocalStore


def measure(task: Task) -> dict[str, Any]:
    """Two crops of MoCo-v2: `ceiling`, `loader` (pictures/s), `share`, `cores`, as in `benchmarks.gpu.loader.clips`."""
    from benchmarks.gpu.loader import against, pace

    shards = material.photos(task.material, task.small)
    spec, batch = (ViewSpec(size=32), 4) if task.small else (ViewSpec(), 256)
    with LocalStore(shards) as store:
        reader = StillReader(store, spec)
        jpegs = [np.array(reader.read(clip).picture.parts[0]) for clip in range(batch)]
    found = ceilings.jpegs(task, jpegs, 0.1 if task.small else 0.4)
    with ImageLoader(shards, spec, batch_size=batch, device=str(task.device), health=Health(None)) as loader:
        alone = pace(task, loader, batch, 0.3 if task.small else 4.0)
        seen = against(task, loader, found.run, batch)
    found.run.close()
    tried = {name: batch * each for name, each in found.tried.items()}
    return seen | {"spec": asdict(spec), "batch_size": batch, "cores": alone["cores"], "settings": found.settings, "tried": tried}
