"""Files that exist either whole or not at all."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make renames inside this folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path` through a temporary neighbour: synced, then renamed over whatever was there.

    durable: it must outlive a power cut; without, it is not synced.

    Raises:
        OSError: the disk is full, the folder is gone or not writable; what was at `path` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)
