"""Having a shared folder to oneself, and the account of what is in it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

LEDGER = 64  # bytes set aside for the file of lock and account
_DIGITS = 20


class BusyError(OSError):
    """Another process holds the folder for too long."""


class Ledger:
    """The sum of the lengths of all files, so that not every new one costs a look at all.

    used: at least what there is, for it is written before a file grows; None: unknown.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        text = os.pread(fd, LEDGER, 0)
        self.used = int(text) if text.isdigit() and len(text) == _DIGITS else None

    def save(self) -> None:
        if self.used is None:
            os.ftruncate(self._fd, 0)
        else:
            os.pwrite(self._fd, b"%0*d" % (_DIGITS, self.used), 0)


class FolderLock:
    """A lock among threads and processes; the file that is locked holds the ledger. It ends with its process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = Lock()

    @contextmanager
    def held(self, patience: float = 10.0) -> Iterator[Ledger]:
        """The ledger, which is saved in the end unless there was an error.

        Raises:
            BusyError: not within `patience` seconds; perhaps another process was stopped while it had it. OSError: the disk failed.
        """
        until = time.monotonic() + patience
        if not self._threads.acquire(timeout=patience):
            raise BusyError
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                while not lock(fd, fcntl.LOCK_EX):
                    if time.monotonic() > until:
                        raise BusyError
                    time.sleep(0.005)
                ledger = Ledger(fd)
                yield ledger
                ledger.save()
            finally:
                os.close(fd)
        finally:
            self._threads.release()


def lock(fd: int, how: int) -> bool:
    """Try to lock an open file (`fcntl.LOCK_SH`, `LOCK_EX`), until it is closed; whether it could be done at once."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
