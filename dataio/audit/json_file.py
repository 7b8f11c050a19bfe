"""Where `--json` writes a result: looked at before the work, written whole after it."""

import json
import os
from pathlib import Path
from typing import Any

from dataio.format.atomic import naming, write_file


def check_target(target: str | None, *apart: Path | None) -> None:
    """See to it before the work that the result can be written after it, over nothing that is not a result.

    Args:
        target: what `--json` says; None and `-` are always right.
        apart: folders into which nothing may be written, the source or a set; None for one that is not on this machine.

    Raises:
        ValueError: it lies inside one of them, its folder is not there or not writable, or something is there that is no `.json`.
    """
    if target is None or target == "-":
        return
    path = Path(target)
    folder = path.parent.resolve()
    for place in apart:
        if place is not None and any(_same(each, place) for each in (folder, *folder.parents)):
            raise ValueError(f"--json {target} lies inside {place}: choose another folder")
    if not folder.is_dir():
        raise ValueError(f"--json {target}: there is no folder {path.parent}")
    if path.is_dir() or (os.path.lexists(path) and path.suffix.lower() != ".json"):
        raise ValueError(f"--json {target} is there already and does not end in .json: nothing else is overwritten")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"--json {target}: the folder {path.parent} is not writable")


def _same(one: Path, other: Path) -> bool:
    """Whether both are one folder, by whatever links and mounts, or will be."""
    return one == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def write_json(result: dict[str, Any], target: str | None) -> None:
    """Write a result where `--json` says; nothing for None. A byte of a name that is not UTF-8 becomes an escape, `\\udcff`.

    Raises:
        OSError: the disk is full, or the folder has gone; what was there is untouched.
    """
    if target is None:
        return
    data = (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
    if target == "-":
        print(data.decode(), end="")
        return
    with naming(Path(target)):
        write_file(Path(target), data)
