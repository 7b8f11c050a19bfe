"""The synthetic pictures of the bench as shards, and the scenes of several objects whose every pixel has a class."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PICTURES, SIZE, SEED = 6000, 96, 0
"""Pictures, a fifth of them held out; their side in pixels; every seed of the bench has the same."""

SIDE = 224
"""Of a scene: its objects are then as large as those of the pictures are in a view of 64 pixels."""


@dataclass(frozen=True)
class Scenes:
    """pictures: (N, SIDE, SIDE, 3) uint8. classes: (N, SIDE, SIDE) uint8, 0 the background."""

    pictures: np.ndarray
    classes: np.ndarray


def shards(folder: Path, *, pictures: int, workers: int, say: Callable[[str], None]) -> Path:
    """The shards, made if they are not there."""
    from dataio.format import manifest
    from dataio.ingest.build import BuildOptions, build
    from dataio.ingest.encode import EncodeOptions
    from dataio.ingest.executors import local
    from dataio.ingest.shapes import write_pictures

    made, raw = folder / "shards", folder / "pictures"
    try:
        manifest.load(made)
        return made
    except (FileNotFoundError, ValueError):
        say(f"painting {pictures} pictures")
    write_pictures(raw, pictures=pictures, seed=SEED, size=SIZE, workers=workers)
    build(raw, made, BuildOptions(EncodeOptions(), layout="images"), local(workers))
    shutil.rmtree(raw)
    return made


def scenes(first: int, count: int) -> Scenes:
    """Scenes `first`, `first` + 1, … of the set."""
    from dataio.ingest.shapes import scene

    made = [scene(SEED, number, SIDE) for number in range(first, first + count)]
    return Scenes(np.stack([pixels for pixels, _ in made]), np.stack([classes for _, classes in made]))
