"""The indexes of shards: fetched once, checked, and the last few kept."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock, RLock

import numpy as np

from dataio.format import index
from dataio.format.manifest import Manifest
from dataio.format.table import FormatError


class Indexes:
    """Safe to use from several threads: of those that want one index, one fetches it, and the others wait for that one only.

    Args:
        fetch: the bytes of the index of a shard, by row of the manifest.
        place: of the set, for messages.
        keep: at most so many; one holds about 200 bytes a member.
    """

    def __init__(self, manifest: Manifest, fetch: Callable[[int], bytes], place: str, keep: int) -> None:
        self._manifest, self._fetch, self._place, self._keep = manifest, fetch, place, keep
        self._kept: OrderedDict[int, index.ShardIndex] = OrderedDict()
        self._fetching: dict[int, Lock] = {}
        self._lock = RLock()  # the collector may finalize the loader while this thread holds it

    def get(self, shard: int) -> index.ShardIndex:
        """The index of a shard, which matches its checksum in the manifest.

        Raises:
            FormatError: damaged. OSError: what `fetch` raises.
        """
        with self._lock:
            if (known := self._known(shard)) is not None:
                return known
            mine = self._fetching.setdefault(shard, Lock())
        with mine:
            with self._lock:
                if (known := self._known(shard)) is not None:
                    return known
            try:
                loaded = self._load(shard)
                with self._lock:
                    self._kept[shard] = loaded
                    while len(self._kept) > self._keep:
                        self._kept.popitem(last=False)
                return loaded
            finally:
                with self._lock:
                    self._fetching.pop(shard, None)

    def _known(self, shard: int) -> index.ShardIndex | None:
        if shard not in self._kept:
            return None
        self._kept.move_to_end(shard)
        return self._kept[shard]

    def _load(self, shard: int) -> index.ShardIndex:
        name = f"{self._place}/{self._manifest.name(shard)}.npz"
        for _ in range(2):  # once more: it may have been hurt on the way
            data = self._fetch(shard)
            if index.crc32c(np.frombuffer(data, np.uint8)) == self._manifest.shards["index_crc"][shard]:
                return index.load(data, name)
        raise FormatError(f"{name} does not match its checksum in the manifest; rebuild the index")

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
