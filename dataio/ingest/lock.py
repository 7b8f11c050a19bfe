"""One build at a time in a folder."""

import fcntl
import json
import os
import socket
import threading
import time
from typing import IO

from dataio.format.folder import Folder, LocalFolder

FILE = "lock"
_BEAT = 5.0  # seconds between two signs of life in a remote lock
_SILENCE = 2.5 * _BEAT  # seconds without one, after which its holder counts as dead


class LockedError(RuntimeError):
    """Somebody else holds it."""


class LocalLock:
    """An advisory lock on a file; the system lets go of it when the holder dies, however it dies.

    Raises:
        LockedError: another process holds it.
    """

    def __init__(self, folder: LocalFolder) -> None:
        self._path = folder.path / FILE
        while True:
            self._file: IO[str] = open(self._path, "w")  # noqa: SIM115  held until release()
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                raise LockedError from None
            try:
                if os.fstat(self._file.fileno()).st_ino == self._path.stat().st_ino:
                    return
            except FileNotFoundError:
                pass
            self._file.close()  # the last holder has removed it since we opened it
            folder.create()

    def release(self) -> None:
        self._file.close()

    def remove(self) -> None:
        """Release it, and leave no file."""
        self._path.unlink(missing_ok=True)
        self._file.close()


class RemoteLock:
    """A file that its holder changes every few seconds. No clocks are compared: whoever finds one waits whether it changes.

    Two builds that begin within a moment on the same empty folder may both get it: object stores offer nothing better to all.

    Raises:
        LockedError: it changes.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._me = f"{socket.gethostname()} {os.getpid()} {time.time_ns()}"
        if folder.has(FILE):
            seen = folder.read(FILE)
            deadline = time.monotonic() + _SILENCE
            while time.monotonic() < deadline:
                time.sleep(_BEAT / 5)
                if folder.has(FILE) and folder.read(FILE) != seen:
                    raise LockedError
        self._ended = threading.Event()
        self._beat(0)
        self._thread = threading.Thread(target=self._live, name="sonosphere-lock", daemon=True)
        self._thread.start()

    def _beat(self, count: int) -> None:
        self._folder.write(FILE, json.dumps([self._me, count]).encode())

    def _live(self) -> None:
        count = 0
        while not self._ended.wait(_BEAT):
            count += 1
            try:
                self._beat(count)
            except OSError:  # the build itself will meet the same storage, and say so
                continue

    def release(self) -> None:
        self._ended.set()
        self._thread.join()
        self._folder.remove(FILE)

    remove = release


Lock = LocalLock | RemoteLock


def lock(folder: Folder) -> Lock:
    """Take the lock of a folder that exists. Raises LockedError."""
    return LocalLock(folder) if isinstance(folder, LocalFolder) else RemoteLock(folder)
