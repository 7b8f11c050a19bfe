"""A set of synthetic pictures on disk: class folders below the splits, and a mark when it is complete."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from dataio.format.atomic import naming
from dataio.ingest.generated import Mark, check_workers, spread
from dataio.ingest.shapes.options import Options
from dataio.ingest.shapes.picture import SPLITS, class_of, picture
from dataio.ingest.shapes.thing import CLASSES

MARK = Mark("shapes.json", "sonosphere-shapes", 1, "pictures")

QUALITY = 92

BLOCK = 100
"""Pictures that a worker writes between two reports."""


def write_pictures(
    out: Path,
    *,
    pictures: int,
    seed: int,
    size: int = 96,
    held_out: float = 0.2,
    workers: int = 1,
    on_done: Callable[[str], None] | None = None,
) -> list[str]:
    """Write synthetic pictures in class folders; go on where an interrupted run with the same arguments stopped.

    Each is `OUT/train/disc-stripes/000012.jpg`, or below `OUT/val/`: what `shards build --layout images` reads. Classes are
    balanced to a picture in each split. A picture depends on `seed`, `size`, its split and its number only, not on how many there
    are or who writes it. `OUT/shapes.json`, with the format, its version and the options, is the last to appear.

    Args:
        out: a folder that is new, empty, or an earlier run's.
        pictures: number of pictures, both splits together.
        seed: of the set.
        size: side of a picture in pixels.
        held_out: share of the pictures for the split val.
        workers: processes that write pictures. They are spawned: a script that asks for more than one needs the usual
            `if __name__ == "__main__":`.
        on_done: called here with the name of each picture once it is complete, those of an earlier run first.

    Returns:
        Names of all pictures below `out`, train before val, each in order.

    Raises:
        ValueError: an argument is not allowed, or `out` holds something else. OSError: the disk is full or broken.
    """
    options = Options(pictures, seed, size, held_out)
    check_workers(workers)
    out = Path(out)
    MARK.claim(out, asdict(options))
    wanted = {split: range(count) for split, count in options.counts.items()}
    there = _there(out)
    missing = {split: [k for k in numbers if picture_name(split, k) not in there] for split, numbers in wanted.items()}
    if any(missing.values()):
        MARK.reopen(out)
    names = [picture_name(split, k) for split, numbers in wanted.items() for k in numbers]
    _tell(on_done, [name for name in names if name in there])
    tasks = [
        (out, split, numbers[first : first + BLOCK], options)
        for split, numbers in missing.items()
        for first in range(0, len(numbers), BLOCK)
    ]
    for done in spread(_write_block, tasks, workers):
        _tell(on_done, done)
    MARK.complete(out)
    return names


def picture_name(split: str, number: int) -> str:
    """Path of a picture below the set's folder: `train/disc-stripes/000012.jpg`."""
    return f"{split}/{CLASSES[class_of(number)]}/{number:06d}.jpg"


def _there(out: Path) -> set[str]:
    """Names of the pictures that an earlier run wrote. An empty file is none: a power cut may leave a name without content."""
    found: set[str] = set()
    for folder in (f"{split}/{name}" for split in SPLITS for name in CLASSES):
        if (out / folder).is_dir():
            with os.scandir(out / folder) as entries:
                found.update(f"{folder}/{entry.name}" for entry in entries if entry.stat().st_size)
    return found


def _write_block(out: Path, split: str, numbers: Sequence[int], options: Options) -> list[str]:
    """Write these pictures of a split and return their names. Each appears when it is complete."""
    names = [picture_name(split, number) for number in numbers]
    for number, name in zip(numbers, names, strict=True):
        path = out / name
        partial = path.with_name(f".{path.name}.partial")  # the same in every run: what a killed one left is written over
        pixels, _ = picture(options.seed, split, number, options.size)
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(partial, "JPEG", quality=QUALITY)
            os.replace(partial, path)
    return names


def _tell(on_done: Callable[[str], None] | None, names: Sequence[str]) -> None:
    if on_done is not None:
        for name in names:
            on_done(name)
