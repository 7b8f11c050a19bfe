"""Shards that are files of this machine, read with `pread` through a few open descriptors."""

import errno
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Event, RLock
from typing import Any

import numpy as np

from dataio.format import manifest
from dataio.format.index import ShardIndex
from dataio.stream.store.errors import CutShortError, ReadError, ShardMissingError
from dataio.stream.store.indexes import Indexes
from dataio.stream.store.names import file_of
from dataio.stream.store.retry import Outcome, Patience, persist
from dataio.stream.store.traffic import Pending, Traffic

__all__ = ["LocalStore", "ReadError"]


class LocalStore:
    """The shard set in a folder. Safe to use from several threads. See `store.Store`.

    descriptors: shards kept open at most. indexes: kept in memory at most. deadline: seconds that a failing disk is asked again.

    Raises:
        FileNotFoundError: no finished set. FormatError: its manifest is damaged.
    """

    remote = False

    def __init__(self, folder: Path, descriptors: int = 64, indexes: int = 64, deadline: float = 60.0) -> None:
        self.folder = Path(folder)
        self.manifest = manifest.load(self.folder)
        self._indexes = Indexes(self.manifest, self._index_bytes, str(self.folder), indexes)
        self._files: OrderedDict[int, _File] = OrderedDict()
        self._descriptors, self._patience = descriptors, Patience(deadline)
        self._traffic, self._closing = Traffic(), Event()
        self._lock = RLock()  # the collector may finalize the loader while this thread holds it

    def __str__(self) -> str:
        return str(self.folder)

    def index(self, shard: int) -> ShardIndex:
        return self._indexes.get(shard)

    def read(self, shard: int, offset: int, out: np.ndarray, *, fresh: bool = False) -> None:
        view, done = memoryview(out.data), 0

        def attempt(left: float) -> None:
            nonlocal done
            file = self._open(shard)
            if fresh:  # not what the kernel has kept of it
                os.posix_fadvise(file.fd, offset, len(view), os.POSIX_FADV_DONTNEED)
            while done < len(view):
                count = os.preadv(file.fd, [view[done:]], offset + done)
                if not count:
                    return
                done += count

        def retried() -> None:
            self._traffic.retry()
            self._forget(shard)  # a stale handle of a network file system stays stale; a new one may be good

        with self._traffic.reading(self.manifest.name(shard), offset):
            outcome = persist(attempt, self._patience, sleep=self._closing.wait, retried=retried)
        self._traffic.add(bytes=done, requests=outcome.attempts)
        if outcome.error is not None:
            raise self._failed(shard, "tar", offset + done, outcome) from outcome.error
        if done < len(view):
            promised, end = offset + len(view), self._end(shard, offset + done)
            message = f"{self.path(shard)} ends at byte {end}; its index promises {promised}"
            raise CutShortError(message, self.manifest.name(shard), offset, end)

    def path(self, shard: int) -> Path:
        return self.folder / file_of(self.manifest, shard, "tar")

    def expect(self, shards: Sequence[int]) -> None:
        """Nothing: the kernel reads ahead where there is something to read ahead."""

    def pending(self) -> list[Pending]:
        return self._traffic.pending()

    def report(self) -> dict[str, Any]:
        counts = {name: self._traffic.count(name) for name in ("bytes", "requests", "retries")}
        return {"place": str(self), **counts, "notes": self._traffic.notes()}

    def _index_bytes(self, shard: int) -> bytes:
        path = self.folder / file_of(self.manifest, shard, "npz")
        with self._traffic.reading(path.name, 0):
            outcome = persist(lambda _: path.read_bytes(), self._patience, sleep=self._closing.wait, retried=self._traffic.retry)
        if outcome.value is None:
            raise self._failed(shard, "npz", 0, outcome) from outcome.error
        return outcome.value

    def _failed(self, shard: int, extension: str, offset: int, outcome: Outcome[Any]) -> ReadError:
        name = self.manifest.name(shard)
        path, error = self.folder / file_of(self.manifest, shard, extension), outcome.error
        if isinstance(error, FileNotFoundError):
            return ShardMissingError(f"{path} is gone; the manifest of {self.folder} names it", name, offset)
        reason = getattr(error, "strerror", None) or error
        return ReadError(f"reading {path} at byte {offset} failed: {reason} ({outcome})", name, offset)

    def _end(self, shard: int, at_most: int) -> int:
        """Where a shard that is too short ends: a read that begins behind it does not tell."""
        try:
            return min(os.fstat(self._open(shard).fd).st_size, at_most)
        except OSError:
            return at_most

    def _open(self, shard: int) -> "_File":
        with self._lock:
            if shard in self._files:
                self._files.move_to_end(shard)
                return self._files[shard]
        file = _File(self.path(shard))  # without the lock: a mount that hangs must not stop the readers of others
        with self._lock:
            if self._closing.is_set():
                raise OSError(errno.EBADF, "the store was closed")
            self._files[shard] = file
            self._files.move_to_end(shard)
            while len(self._files) > self._descriptors:
                self._files.popitem(last=False)  # closed when the last reader lets go of it
            return file

    def _forget(self, shard: int) -> None:
        with self._lock:
            self._files.pop(shard, None)

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            self._files.clear()
        self._indexes.clear()

    def __enter__(self) -> "LocalStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _File:
    """An open descriptor that closes itself with its last user."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)
