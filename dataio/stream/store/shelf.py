"""A bounded folder of immutable files that several processes share: the disk side of the cache.

The folder is the only truth. An entry is `KEY.tar`, whole, or `KEY.part`, being written, which has its full length from the start:
so the sum of the lengths is what is promised, whatever is under way, and it never exceeds the limit. Locks are `flock`s, which end
with their process: on `lock` while room is made or names change; exclusively on a part while it is written, so that one that
nobody holds is the leftover of a process that was killed; shared on an entry while it is read, so that nothing is removed that is
being read (it would go on taking room, unseen).
"""

import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dataio.stream.store.ledger import LEDGER, BusyError, FolderLock, lock

FOLDER = "sonosphere-cache"
_ENTRY = re.compile(r"([0-9a-f]{40})\.(tar|part)")
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW
_NOT_KNOWN = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


@dataclass
class Slot:
    """A part that this process writes. fd: open, and locked."""

    key: str
    fd: int
    length: int

    def write(self, data: memoryview, at: int) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self.fd, data[done:], at + done)


class Shelf:
    """Safe to use from several threads and processes.

    Args:
        folder: of the user; everything lies in one folder inside it, where files of others stay and do not count.
        limit: of the lengths of all entries and parts, bytes.
        evicted: called for each entry that is removed to make room.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, limit: int, evicted: Callable[[], None] = lambda: None) -> None:
        self.home = folder / FOLDER
        self.home.mkdir(parents=True, exist_ok=True)
        self.limit = limit
        self._evicted = evicted
        self._lock = FolderLock(self.home / "lock")
        with suppress(BusyError), self._lock.held() as ledger:
            ledger.used = self._survey()[0]

    # reading

    def read(self, key: str, length: int, offset: int, view: memoryview) -> bool:
        """Fill `view` from an entry of this length; whether there is one."""
        with suppress(OSError), self._opened(key) as fd:
            if fd is None or not lock(fd, fcntl.LOCK_SH):
                return False
            found = os.fstat(fd)
            if not found.st_nlink or found.st_size != length:  # removed between opening and locking
                return False
            done = 0
            while done < len(view):
                count = os.preadv(fd, [view[done:]], offset + done)
                if not count:
                    return False
                done += count
            _touch(fd, found)
            return True
        return False

    def touch(self, key: str) -> bool:
        """Whether there is such an entry; it counts as used."""
        with self._opened(key) as fd:
            if fd is None:
                return False
            _touch(fd, os.fstat(fd))
            return True

    @contextmanager
    def _opened(self, key: str) -> Iterator[int | None]:
        try:
            fd = os.open(self._path(key), os.O_RDONLY | _OPEN)
        except OSError:
            yield None
            return
        try:
            yield fd
        finally:
            os.close(fd)

    # writing

    def begin(self, key: str, length: int, keep: Collection[str] = ()) -> Slot | None:
        """Room for an entry. None: it is there, another is writing it, or there is no room without removing what is in use.

        keep: keys that are not removed for it.

        Raises:
            OSError: the disk is full, or broken.
        """
        if not 0 < length <= self.room:
            return None
        try:
            with self._lock.held() as ledger:
                if self._path(key).exists():
                    return None
                fd = self._part(key)
                if fd is None:
                    return None
                try:
                    if ledger.used is None or ledger.used + length > self.room:
                        ledger.used = self._make_room(length, keep)
                        if ledger.used + length > self.room:
                            raise _FullError
                    ledger.used += length
                    ledger.save()  # before the file grows: a ledger may say too much after a crash, never too little
                    _allocate(fd, length)
                except BaseException:
                    self._path(key, "part").unlink(missing_ok=True)
                    os.close(fd)
                    raise
                return Slot(key, fd, length)
        except (BusyError, _FullError):
            return None

    def publish(self, slot: Slot) -> None:
        """The part is whole: from now on it is read."""
        try:
            with self._lock.held():  # a survey must not miss a file because it changes its name
                lock(slot.fd, fcntl.LOCK_SH)  # or who sees the new name at once would be turned away
                os.replace(self._path(slot.key, "part"), self._path(slot.key))
                _touch(slot.fd, os.fstat(slot.fd))
            os.close(slot.fd)
        except BaseException:
            self.discard(slot)
            raise

    def discard(self, slot: Slot) -> None:
        """The part will not become whole."""
        with suppress(OSError):
            if os.fstat(slot.fd).st_nlink:
                self._path(slot.key, "part").unlink(missing_ok=True)
        os.close(slot.fd)

    def drop(self, key: str) -> None:
        """Remove an entry whose content is wrong, as soon as nobody reads it; if that takes long, it stays until the next time."""
        for _ in range(20):
            with self._opened(key) as fd:
                if fd is None:
                    return
                if lock(fd, fcntl.LOCK_EX):
                    self._path(key).unlink(missing_ok=True)
                    return
            time.sleep(0.01)

    # accounts

    @property
    def room(self) -> int:
        """Bytes for entries."""
        return self.limit - LEDGER

    def used(self) -> int:
        """Bytes of all entries and parts, of all processes; perhaps more than that after one was killed."""
        with suppress(OSError), self._lock.held() as ledger:
            if ledger.used is None:
                ledger.used = self._survey()[0]
            return ledger.used
        return 0

    def _path(self, key: str, kind: str = "tar") -> Path:
        return self.home / f"{key}.{kind}"

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self.home) as entries:
            yield from (entry for entry in entries if _ENTRY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False))

    def _survey(self) -> tuple[int, list[tuple[int, str, int]]]:
        """Bytes of all, and (last use, key, length) of what could go. Leftovers are removed. Only while `lock` is held."""
        total, found = 0, []
        for entry in self._entries():
            key, kind = entry.name.split(".")
            try:
                if kind == "part" and self._removed(entry.path):
                    continue
                facts = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            total += facts.st_size
            if kind == "tar":
                found.append((facts.st_atime_ns, key, facts.st_size))
        return total, sorted(found)

    def _make_room(self, length: int, keep: Collection[str]) -> int:
        """Remove what was not used for longest until there is room; what is then left, bytes."""
        used, found = self._survey()
        # of many small entries some more than needed, so that not every one of them costs a look at all
        goal = self.room - length - (self.room // 50 if length < self.room // 1000 else 0)
        for _, key, size in found:
            if used <= goal:
                break
            if key not in keep and self._removed(self._path(key)):
                used -= size
                self._evicted()
        return used

    def _removed(self, path: str | Path) -> bool:
        """Remove a file if nobody has locked it."""
        try:
            fd = os.open(path, os.O_RDONLY | _OPEN)
        except FileNotFoundError:
            return True
        try:
            if not lock(fd, fcntl.LOCK_EX):
                return False
            Path(path).unlink()
            return True
        finally:
            os.close(fd)

    def _part(self, key: str) -> int | None:
        """A new part, open and locked; None while another writes it. Only while `lock` is held."""
        path = self._path(key, "part")
        if path.exists() and not self._removed(path):
            return None
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, 0o644)
        lock(fd, fcntl.LOCK_EX)
        return fd


class _FullError(Exception):
    """No room can be made."""


def _touch(fd: int, found: os.stat_result) -> None:
    """The time of last use, also where the file system does not keep it by itself."""
    with suppress(OSError):
        os.utime(fd, ns=(time.time_ns(), found.st_mtime_ns))


def _allocate(fd: int, length: int) -> None:
    """The blocks too, where the file system can: a full disk is noticed now, and not by a reader."""
    try:
        os.posix_fallocate(fd, 0, length)
    except OSError as error:
        if error.errno in _NOT_KNOWN:
            os.ftruncate(fd, length)
        else:
            raise
