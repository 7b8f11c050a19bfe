"""What the builder says when raw material is at fault, and when it is not."""

import errno
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

_DISK = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.ENOTCONN}
_STORAGE = _DISK | {errno.EACCES, errno.EPERM}
"""What a broken disk, a lost network share or a forbidden file says. None of it is the recording's fault."""

_BLOCK = 2**22  # bytes
_GOES_ON = "what is finished stays, and the same command goes on"


class SourceError(ValueError):
    """A recording, or a whole source, cannot be used; the message is one sentence for the user and names the file."""


def disk_failed(error: BaseException | None) -> bool:
    """Whether this is what a broken disk or a lost network share says."""
    return isinstance(error, OSError) and error.errno in _DISK


def blame_storage(error: SourceError, paths: Sequence[Path], *, read: bool = True) -> None:
    """Raise OSError if a recording could not be read because its disk is gone, rather than because it is broken.

    Args:
        paths: every file that the recording is read from.
        read: read them all once more, for libraries hide what the disk said. False for what was read with plain reads anyway.
    """
    for path in paths:
        if not path.exists():
            seen = f"seen from {socket.gethostname()}: every machine of a build must find the source under the same path"
            raise OSError(f"{path} has disappeared during the build; {_GOES_ON} ({seen})") from error
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _STORAGE:
        raise OSError(f"the storage of the source failed: {error}; {_GOES_ON}") from error
    if read:
        read_through(paths)


def read_through(paths: Sequence[Path]) -> None:
    """Read these files from end to end and forget them, so that a disk that cannot give all of them says so.

    Media libraries take a failed read for the end of the file, or for damage. This costs one more reading of a file that will not
    be used, and nothing for one that is. Files that are not there, and what is no file, are passed over.

    Raises:
        OSError: a read failed; the sentence names the file and the byte.
    """
    buffer = bytearray(_BLOCK)
    for path in paths:
        at = 0
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                continue
            with open(path, "rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    at += count
        except FileNotFoundError:
            continue
        except OSError as error:
            where = f"{path} cannot be read from byte {at} on: {error.strerror}"
            raise OSError(f"the storage of the source failed: {where}; {_GOES_ON}") from error
