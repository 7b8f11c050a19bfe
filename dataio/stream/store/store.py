"""Bytes by shard and range, and the indexes that say which, wherever the set lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dataio.format.index import ShardIndex
from dataio.format.manifest import Manifest
from dataio.stream.store.traffic import Pending


@dataclass(frozen=True)
class Cache:
    """A folder on this machine for shards of a remote set, which several processes may share.

    folder: what it keeps lies in one folder of its own inside; nothing else is touched. On a disk of this machine: the locks of
        network file systems are not to be trusted.
    bytes: that it may take up at most, whatever is under way, for all processes together.
    whole: fetch whole shards ahead, in the order's own sequence; False: keep only the blocks that were read.
    """

    folder: Path
    bytes: int
    whole: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if self.bytes < 1:
            raise ValueError(f"bytes={self.bytes} of the cache in {self.folder} must be positive; no cache is cache=None")


class Store(Protocol):
    """Safe to use from several threads. `str()` tells where the set lies, without secrets.

    remote: a read keeps to its deadline by itself; a local one may hang in the kernel.
    """

    manifest: Manifest
    remote: bool

    def index(self, shard: int) -> ShardIndex:
        """The index of a shard by its row of the manifest, checked against the manifest's checksum.

        Raises:
            FormatError: damaged. ShardMissingError: gone. ReadError: the storage failed.
        """

    def read(self, shard: int, offset: int, out: np.ndarray, *, fresh: bool = False) -> None:
        """Fill `out` (uint8, contiguous) with the bytes of a shard from `offset` on.

        fresh: from the storage itself, because what came before did not match its checksum; a cache drops what differs.

        Raises:
            CutShortError: the shard ends before. ShardMissingError: gone. StalledError: not within the deadline.
            ReadError: the storage failed, or the store was closed.
        """

    def expect(self, shards: Sequence[int]) -> None:
        """Rows of the shards that will be needed soon, soonest first, those in use included. It replaces what was expected before,
        and returns at once.
        """

    def pending(self) -> list[Pending]:
        """Reads under way, the oldest first: a read that hangs in the kernel cannot be ended, but it can be named."""

    def report(self) -> dict[str, Any]:
        """JSON: `place`, `bytes`, `requests`, `retries`, `notes`; with a cache also `cache`: `hits`, `misses`, `fetched` (bytes),
        `evictions`, `bytes` (held now, by all processes).
        """

    def close(self) -> None:
        """End what is under way, within about a second. Reads that wait raise ReadError."""
