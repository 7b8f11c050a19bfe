"""What the builder says when raw material is at fault, and when it is not."""

import errno
import socket
from collections.abc import Sequence
from pathlib import Path

_STORAGE = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.ENOTCONN, errno.EACCES, errno.EPERM}
"""What a broken disk, a lost network share or a forbidden file says. None of it is the recording's fault."""

_GOES_ON = "what is finished stays, and the same command goes on"


class SourceError(ValueError):
    """A recording, or a whole source, cannot be used; the message is one sentence for the user and names the file."""


def blame_storage(error: SourceError, paths: Sequence[Path]) -> None:
    """Raise OSError if a recording could not be read because its disk is gone, rather than because it is broken."""
    for path in paths:
        if not path.exists():
            seen = f"seen from {socket.gethostname()}: every machine of a build must find the source under the same path"
            raise OSError(f"{path} has disappeared during the build; {_GOES_ON} ({seen})") from error
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _STORAGE:
        raise OSError(f"the storage of the source failed: {error}; {_GOES_ON}") from error
