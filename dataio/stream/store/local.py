"""Bytes by shard and range, and the indexes that say which. Local files, read with `pread` through a few open descriptors."""

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np

from dataio.format import index, manifest


class ReadError(OSError):
    """The storage failed, or a file is shorter than the index says; the message names shard and offset."""


class LocalStore:
    """The shard set in a folder. Safe to use from several threads.

    descriptors: shards kept open at most. indexes: kept in memory at most (one holds about 200 bytes a member).
    """

    def __init__(self, folder: Path, descriptors: int = 64, indexes: int = 64) -> None:
        self.folder = folder
        self.manifest = manifest.load(folder)
        self._files: OrderedDict[int, _File] = OrderedDict()
        self._indexes: OrderedDict[int, index.ShardIndex] = OrderedDict()
        self._limits = descriptors, indexes
        self._lock = Lock()

    def index(self, shard: int) -> index.ShardIndex:
        """The index of a shard, checked against the manifest's checksum.

        Raises:
            FormatError: damaged. FileNotFoundError: gone.
        """
        with self._lock:
            if shard in self._indexes:
                self._indexes.move_to_end(shard)
                return self._indexes[shard]
            path = self.folder / f"{self.manifest.name(shard)}.npz"
            data = path.read_bytes()
            if index.crc32c(np.frombuffer(data, np.uint8)) != self.manifest.shards["index_crc"][shard]:
                raise index.table.FormatError(f"{path} does not match its checksum in the manifest; rebuild the index")
            loaded = index.load(data, str(path))
            self._indexes[shard] = loaded
            if len(self._indexes) > self._limits[1]:
                self._indexes.popitem(last=False)
            return loaded

    def read(self, shard: int, offset: int, out: np.ndarray) -> None:
        """Fill `out` (uint8) with the bytes of a shard from `offset` on.

        Raises:
            ReadError: the device failed, or the file ends before. FileNotFoundError: the shard is gone.
        """
        file = self._open(shard)
        view, done = memoryview(out.data), 0
        while done < len(out):
            try:
                count = os.preadv(file.fd, [view[done:]], offset + done)
            except OSError as error:
                raise ReadError(f"reading {self.path(shard)} at byte {offset + done} failed: {error.strerror}") from error
            if not count:
                raise ReadError(f"{self.path(shard)} ends at byte {offset + done}; its index promises {offset + len(out)}")
            done += count

    def path(self, shard: int) -> Path:
        return self.folder / f"{self.manifest.name(shard)}.tar"

    def _open(self, shard: int) -> "_File":
        with self._lock:
            if shard not in self._files:
                self._files[shard] = _File(self.path(shard))
                if len(self._files) > self._limits[0]:
                    self._files.popitem(last=False)  # closed when the last reader lets go of it
            self._files.move_to_end(shard)
            return self._files[shard]

    def close(self) -> None:
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
