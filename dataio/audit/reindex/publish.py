"""Many small files that appear together: written under temporary names, synced together, then renamed, and one of them last.

Syncing one file after the other, as they are written, would have the disk commit its journal once a file; this way it does so once
or twice in all.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dataio.format import atomic


@dataclass(frozen=True)
class Fresh:
    """A file that is written, but not published. run: process number of the run that it belongs to."""

    name: str
    run: int

    @property
    def temporary(self) -> str:
        return f".{self.name}.{self.run}.tmp"


def write(folder: Path, name: str, data: bytes, run: int) -> tuple[Fresh, ...]:
    """Write a file under a temporary name; nothing if the file is there already, with these very bytes.

    Raises:
        OSError: the disk is full, or the folder is not writable.
    """
    path, fresh = folder / name, Fresh(name, run)
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return ()
    with atomic.naming(path), open(folder / fresh.temporary, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # Linux begins to write at once, while we read the next tar
    return (fresh,)


def publish(folder: Path, files: Iterable[Fresh], last: Iterable[Fresh]) -> None:
    """Give files their names, `last` after all others are safe: at no time is there a name without its whole content, nor `last`
    without the others, not even after a power cut.

    Raises:
        OSError: a file cannot be synced or renamed; `last` is then not published.
    """
    first, second = list(files), list(last)
    for fresh in first + second:
        with atomic.naming(folder / fresh.name), open(folder / fresh.temporary, "rb") as file:
            os.fsync(file.fileno())
    for group in (first, second):
        for fresh in group:
            os.replace(folder / fresh.temporary, folder / fresh.name)
        if group:
            atomic.sync_folder(folder)


def clear(folder: Path, run: int) -> None:
    """Remove what was written and not published: by this run, and by those whose process is no more.

    Only names that this module gives to indexes are looked at. A run on another machine is not seen: if both work in one folder at
    once, that one fails.
    """
    for path in sorted(folder.glob(".*.tmp")):
        found = re.fullmatch(r"\..+\.(?:idx|npz)\.(\d+)\.tmp", path.name, re.DOTALL)
        if found and (int(found[1]) == run or not _runs(int(found[1]))):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
