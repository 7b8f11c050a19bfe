"""One build at a time in a folder."""

import fcntl
import json
import os
import socket
import threading
import time
from contextlib import suppress
from typing import IO
from uuid import uuid4

from dataio.format.folder import Folder, LocalFolder

FILE = "lock"
BEAT = 5.0  # seconds between two signs of life in a remote lock
_SILENCE = 2.5  # beats without one, after which its holder counts as dead
_SETTLE = 0.2  # beats after which one of two that took it at the same moment finds the other's mark


class LockedError(RuntimeError):
    """Somebody else holds it."""


class LocalLock:
    """An advisory lock on a file; the system lets go of it when the holder dies, however it dies.

    Raises:
        LockedError: another process holds it.
        OSError: it cannot be written, or the file system keeps no locks.
    """

    def __init__(self, folder: LocalFolder) -> None:
        self._path = folder.path / FILE
        while True:
            try:
                self._file: IO[str] = open(self._path, "w")  # noqa: SIM115  held until release()
            except FileNotFoundError:  # a build that has just ended took the folder with it
                folder.create()
                continue
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                raise LockedError(f"{self._path} is held by another process") from None
            except OSError as error:
                self._file.close()
                raise OSError(f"{self._path} cannot be locked, its file system must know flock: {error.strerror}") from error
            try:
                if os.fstat(self._file.fileno()).st_ino == self._path.stat().st_ino:
                    return
            except FileNotFoundError:
                pass
            self._file.close()  # the last holder has removed it since we opened it
            folder.create()

    def check(self) -> None:
        """The system sees to it that it is still held."""

    def release(self) -> None:
        self._file.close()

    def remove(self) -> None:
        """Release it, and leave no file."""
        self._path.unlink(missing_ok=True)
        self._file.close()


class RemoteLock:
    """A file that its holder changes every few seconds. No clocks are compared: whoever finds one waits whether it changes.

    Of two that take it at the same moment, the one whose mark has been overwritten withdraws. A holder that was cut off for longer
    than the silence (a suspended machine, a lost network) may find it taken over when it comes back, and stops.

    Args:
        beat: seconds from one change to the next; the same for all who use the folder. None for BEAT.

    Raises:
        LockedError: it changes.
        OSError: the storage.
    """

    def __init__(self, folder: Folder, beat: float | None = None) -> None:
        self._folder = folder
        self._every = BEAT if beat is None else beat
        self._me = f"{socket.gethostname()}, process {os.getpid()}, {uuid4().hex}"
        seen = self._read()
        deadline = time.monotonic() + _SILENCE * self._every
        while seen is not None and time.monotonic() < deadline:
            time.sleep(self._every / 5)
            now = self._read()
            if now is None:  # released
                break
            if now != seen:
                raise LockedError(f"{folder}/{FILE} is held by {_holder(now)}")
        self._lost: str | None = None
        self._beat(0)
        time.sleep(_SETTLE * self._every)
        if not self._mine():
            raise LockedError(f"{folder}/{FILE} has been taken by {self._lost}")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="sonosphere-lock", daemon=True)
        self._thread.start()

    def _read(self) -> bytes | None:
        try:
            return self._folder.read(FILE)
        except FileNotFoundError:
            return None

    def _mine(self) -> bool:
        """Whether the last mark is ours. No mark at all is an accident, and no reason to stop."""
        found = self._read()
        if found is not None and (holder := _holder(found)) != self._me:
            self._lost = holder
        return self._lost is None

    def _beat(self, count: int) -> None:
        self._folder.write(FILE, json.dumps([self._me, count]).encode())

    def _live(self) -> None:
        count = 0
        while not self._ended.wait(self._every):
            count += 1
            try:
                if not self._mine():
                    return
                self._beat(count)
            except OSError:  # the build itself will meet the same storage, and say so
                continue

    def check(self) -> None:
        """Raises LockedError if another has taken it over in the meantime."""
        if self._lost is not None:
            raise LockedError(f"{self._folder}/{FILE} has been taken over by {self._lost}")

    def release(self) -> None:
        """Leave no file; what another has taken over stays."""
        self._ended.set()
        self._thread.join()
        with suppress(OSError):  # left there it only makes the next build wait; what went wrong before is worth more than this
            if self._mine():
                self._folder.remove(FILE)

    remove = release


def _holder(mark: bytes) -> str:
    """Who has left this mark."""
    try:
        return str(json.loads(mark)[0])
    except (ValueError, LookupError, TypeError):
        return "somebody unknown"


Lock = LocalLock | RemoteLock


def lock(folder: Folder) -> Lock:
    """Take the lock of a folder that exists. Raises LockedError, or OSError of the storage."""
    return LocalLock(folder) if isinstance(folder, LocalFolder) else RemoteLock(folder)
