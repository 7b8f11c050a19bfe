"""Files that exist either whole or not at all."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a write says without naming the file


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


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A full disk does not say which file it had no room for, nor a missing folder on which of many machines it is missing."""
    try:
        yield
    except OSError as error:
        if error.errno in _ROOM and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        if error.errno == errno.ENOENT and not path.parent.is_dir():
            raise OSError(error.errno, f"{error.strerror}, as seen from {socket.gethostname()}", str(path.parent)) from error
        raise
