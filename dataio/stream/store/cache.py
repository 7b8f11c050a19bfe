"""Which parts of a remote set are kept on this machine, and when they are fetched."""

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from dataio.format.manifest import Manifest
from dataio.stream.store.errors import CutShortError
from dataio.stream.store.ledger import BusyError
from dataio.stream.store.shelf import Shelf, Slot
from dataio.stream.store.store import Cache
from dataio.stream.store.traffic import Traffic

BLOCK = 2**20  # bytes of an entry where ranges are kept: a few reads of a clip, and a request's latency well used
_PIECE = 8 * 2**20  # bytes of a request for a whole shard

Fetch = Callable[[int, int, memoryview], None]
"""Fills a buffer with the bytes of a shard from an offset on, from the storage."""


class _Part(NamedTuple):
    """Some of an entry. low: its first byte in the shard. length: of the entry. begin, end: the bytes of the shard that matter."""

    key: str
    low: int
    length: int
    begin: int
    end: int


class SetCache:
    """One set's use of the folder. Safe to use from several threads. What it cannot do is done without it.

    Entries are named after the fingerprint of the set, and name and checksum of the shard: sets do not meet, nor do a set and what
    it was before it was built again. Lengths are checked here, content by who reads it.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, cache: Cache, manifest: Manifest, traffic: Traffic) -> None:
        self._whole, self._manifest, self._traffic = cache.whole, manifest, traffic
        try:
            self._shelf = Shelf(cache.folder, cache.bytes, lambda: traffic.add(evictions=1))
        except OSError as error:
            raise OSError(f"the cache folder {cache.folder} cannot be used: {error.strerror or error}") from error
        self._chosen: frozenset[int] = frozenset()
        self._kept: frozenset[str] = frozenset()  # their entries
        self._unfit: set[int] = set()
        self._on = True
        if cache.whole and (large := int((manifest.shards["bytes"] > self._shelf.room).sum())):
            text = f"{large} of {len(manifest)} shards are larger than the {cache.bytes} bytes of the cache in {cache.folder}"
            self._note(f"{text}: they are read by ranges")

    def plan(self, shards: Sequence[int]) -> None:
        """Of the shards that are needed soon, soonest first, choose those to fetch: as many as fit together, for what comes later
        must not displace what comes first.
        """
        chosen, left = [], self._shelf.room if self._whole else 0
        for shard in dict.fromkeys(shards):
            size = self._size(shard)
            if size > self._shelf.room:
                continue
            if size > left:
                break
            left -= size
            chosen.append(shard)
        self._chosen = frozenset(chosen)
        self._kept = frozenset(self._key(shard) for shard in chosen)

    def read(self, shard: int, offset: int, view: memoryview, fetch: Fetch) -> bool:
        """Fill `view` with the help of the cache; whether it could."""
        if not self._whole:
            return self._read_blocks(shard, offset, view, fetch)
        found = self._shelf.read(self._key(shard), self._size(shard), offset, view)
        self._traffic.add(hits=found, misses=not found)
        return found

    def compare(self, shard: int, offset: int, view: memoryview) -> bool:
        """Drop what differs from these bytes of the storage; whether something did. What is damaged in the storage itself stays: it
        would come back the same.
        """
        differs = False
        for p in self._parts(shard, offset, offset + len(view)):
            kept = memoryview(bytearray(p.end - p.begin))
            if self._kept_part(p, kept) and kept != view[p.begin - offset : p.end - offset]:
                self._shelf.drop(p.key)
                differs = True
        return differs

    def download(self, shard: int, fetch: Fetch) -> bool:
        """Have all of a shard on the disk, where that is wanted; False if it must wait: it is not chosen yet, there is no room now,
        or another process is fetching it.

        Raises:
            OSError: the storage failed.
        """
        key, size = self._key(shard), self._size(shard)
        if not self._whole or not self._on or shard in self._unfit:
            return True
        if shard not in self._chosen:
            return False
        if self._shelf.touch(key):
            return True
        slot = self._begin(key, size)
        if slot is None:
            return False
        done = False
        try:
            buffer = memoryview(bytearray(min(_PIECE, size)))
            for at in range(0, size, _PIECE):
                piece = buffer[: min(_PIECE, size - at)]
                fetch(shard, at, piece)
                self._traffic.add(fetched=len(piece))
                with self._guarded():
                    slot.write(piece, at)
                if not self._on:
                    return True
            done = True
        except CutShortError:
            self._unfit.add(shard)  # it will not grow
            raise
        finally:
            self._end(slot, done)
        return True

    def report(self) -> dict[str, Any]:
        counts = {name: self._traffic.count(name) for name in ("hits", "misses", "fetched", "evictions")}
        return counts | {"bytes": self._shelf.used(), "limit": self._shelf.limit, "on": self._on}

    def _read_blocks(self, shard: int, offset: int, view: memoryview, fetch: Fetch) -> bool:
        parts = self._parts(shard, offset, offset + len(view))
        missing = [p for p in parts if not self._kept_part(p, view[p.begin - offset : p.end - offset])]
        self._traffic.add(misses=bool(missing), hits=bool(parts) and not missing)
        if not parts or (missing and not self._on):
            return False
        while missing:
            run = 1
            while run < len(missing) and missing[run].low == missing[run - 1].low + BLOCK:
                run += 1
            low, data = missing[0].low, memoryview(bytearray(missing[run - 1].low + missing[run - 1].length - missing[0].low))
            try:
                fetch(shard, low, data)
            except CutShortError:
                return False  # but what was asked for may be there
            self._traffic.add(fetched=len(data))
            for p in missing[:run]:
                view[p.begin - offset : p.end - offset] = data[p.begin - low : p.end - low]
                self._keep(p.key, data[p.low - low : p.low - low + p.length])
            missing = missing[run:]
        return True

    def _kept_part(self, p: _Part, view: memoryview) -> bool:
        return self._shelf.read(p.key, p.length, p.begin - p.low, view)

    def _keep(self, key: str, data: memoryview) -> None:
        slot = self._begin(key, len(data))
        if slot is None:
            return
        done = False
        with self._guarded():
            slot.write(data, 0)
            done = True
        self._end(slot, done)

    def _begin(self, key: str, length: int) -> Slot | None:
        if self._on:
            with self._guarded():
                return self._shelf.begin(key, length, self._kept)
        return None

    def _end(self, slot: Slot, done: bool) -> None:
        with self._guarded():
            if done:
                self._shelf.publish(slot)
            else:
                self._shelf.discard(slot)

    def _parts(self, shard: int, begin: int, end: int) -> list[_Part]:
        """The entries that hold some of a range; none where the shard is shorter than that."""
        size = self._size(shard)
        if begin >= end or end > size:
            return []
        if self._whole:
            return [_Part(self._key(shard), 0, size, begin, end)]
        return [
            _Part(self._key(shard, low // BLOCK), low, min(BLOCK, size - low), max(begin, low), min(end, low + BLOCK))
            for low in range(begin // BLOCK * BLOCK, end, BLOCK)
        ]

    def _size(self, shard: int) -> int:
        return int(self._manifest.shards["bytes"][shard])

    def _key(self, shard: int, block: int | None = None) -> str:
        m = self._manifest
        text = f"{m.fingerprint} {m.name(shard)} {int(m.shards['crc'][shard])} {self._size(shard)} {block}"
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A failing or full disk ends the cache, and not the run."""
        try:
            yield
        except BusyError:
            pass
        except OSError as error:
            self._on = False
            reason = error.strerror or error
            self._note(f"the cache in {self._shelf.home} takes nothing more ({reason}): the rest is read by ranges")

    def _note(self, text: str) -> None:
        if self._traffic.note(text):
            print(f"sonosphere: {text}", file=sys.stderr)
