"""A set of synthetic scenes on disk: what is written, by whom, and when it counts as complete."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from dataio.ingest.scenes.options import Options
from dataio.ingest.scenes.recording import scene_name, write_scene

MARKER = "synthetic.json"
"""Stands in a complete set: format, version and options."""

PLAN = ".synthetic.json.partial"
"""The same text while the set is being written; renamed to `MARKER` when every scene is there."""

FORMAT = "sonosphere-synthetic"
VERSION = 1


def write_recordings(
    out: Path,
    *,
    recordings: int,
    seconds: float,
    seed: int,
    size: tuple[int, int] = (128, 256),
    fps: int = 8,
    rate: int = 96_000,
    workers: int = 1,
    on_done: Callable[[str], None] | None = None,
) -> list[str]:
    """Write synthetic scenes as raw recordings; go on where an interrupted run with the same arguments stopped.

    Each `OUT/scene-0000/` holds `video.mp4` (H.264, equirectangular), `front.wav right.wav back.wav left.wav` (16 bits, left
    ear first), `classes.mkv` (FFV1, the class id of every pixel) and `truth.json`. Sample n is at n / rate, frame k at k / fps
    seconds. A scene depends on `seed` and its number only, not on how many there are or who writes it.

    Args:
        out: a folder that is new, empty, or an earlier run's.
        recordings: number of scenes.
        seconds: length of each.
        seed: of the set.
        size: (height, width) of the picture, both even.
        fps: frames a second.
        rate: samples a second.
        workers: processes that write scenes. They are spawned: a script that asks for more than one needs the usual
            `if __name__ == "__main__":`.
        on_done: called here with the name of each scene once it is complete, those of an earlier run first.

    Returns:
        Names of all scenes, in order.

    Raises:
        ValueError: an argument is not allowed, or `out` holds something else.
    """
    options = Options(recordings, seconds, seed, size, fps, rate)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers={workers!r} is not allowed: it must be a whole number from 1")
    out = Path(out)
    _claim(out, options)
    names = [scene_name(index) for index in range(recordings)]
    missing = [index for index, name in enumerate(names) if not (out / name).is_dir()]
    if missing and (out / MARKER).exists():
        os.replace(out / MARKER, out / PLAN)  # the set is not complete any more
    for name in sorted(set(names) - {names[index] for index in missing}):
        _tell(on_done, name)
    for name in _written(out, missing, options, workers):
        _tell(on_done, name)
    if not (out / MARKER).exists():
        os.replace(out / PLAN, out / MARKER)
    return names


def _written(out: Path, indices: list[int], options: Options, workers: int) -> Iterator[str]:
    """Write these scenes and yield each one's name when it is complete."""
    if workers == 1 or len(indices) <= 1:
        for index in indices:
            yield write_scene(out, index, options)
        return
    pool = ProcessPoolExecutor(min(workers, len(indices)), multiprocessing.get_context("spawn"))
    try:
        futures = [pool.submit(write_scene, out, index, options) for index in indices]
        for future in as_completed(futures):
            yield future.result()
    finally:
        # after an error, or when the caller is interrupted, what has not begun never begins
        pool.shutdown(cancel_futures=True)


def _claim(out: Path, options: Options) -> None:
    """Make `out` this set's folder, or see that it is already.

    Raises:
        ValueError: it is a file, or holds other things, or a set with other options.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: give the name of a new or empty folder")
    out.mkdir(parents=True, exist_ok=True)
    wanted = {"format": FORMAT, "version": VERSION, "options": json.loads(json.dumps(asdict(options)))}
    for name in (MARKER, PLAN):
        if (out / name).exists():
            _compare(out, _read(out / name), wanted)
            return
    temporary = out / (PLAN + ".new")
    if any(path != temporary for path in out.iterdir()):
        raise ValueError(f"{out} is neither empty nor a set of synthetic scenes: give the name of a new or empty folder")
    temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, out / PLAN)


def _read(path: Path) -> dict[str, object]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        facts = None
    return facts if isinstance(facts, dict) else {}


def _compare(out: Path, found: dict[str, object], wanted: dict[str, object]) -> None:
    old, new = found.get("options"), wanted["options"]
    if (found.get("format"), found.get("version")) != (FORMAT, VERSION) or not isinstance(old, dict):
        raise ValueError(f"{out} holds no set of synthetic scenes of this version ({FORMAT} {VERSION}): give a new or empty folder")
    assert isinstance(new, dict)
    differing = [f"{name}={old.get(name)!r}" for name in new if old.get(name) != new[name]]
    if differing:
        raise ValueError(f"{out} holds scenes made with {', '.join(differing)}: repeat those values, or give a new or empty folder")


def _tell(on_done: Callable[[str], None] | None, name: str) -> None:
    if on_done is not None:
        on_done(name)
