"""Shards behind an fsspec URL, read by ranges, with or without a cache on this machine."""

import time
import weakref
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, TypeVar

import numpy as np

from dataio.format import manifest
from dataio.format.index import ShardIndex
from dataio.stream.store.address import Address
from dataio.stream.store.cache import SetCache
from dataio.stream.store.errors import CutShortError, ReadError, ShardMissingError, StalledError
from dataio.stream.store.fetcher import Fetcher
from dataio.stream.store.indexes import Indexes
from dataio.stream.store.names import file_of
from dataio.stream.store.retry import Outcome, Patience, passing, persist, timed_out, unreachable
from dataio.stream.store.source import Source, open_source
from dataio.stream.store.store import Cache
from dataio.stream.store.traffic import Pending, Traffic
from dataio.stream.store.transfer import EndsError, Transfer

T = TypeVar("T")

_GREETING = 5.0  # seconds; who mistypes an address should not wait for the whole deadline


class RemoteStore:
    """The shard set at a URL. Safe to use from several threads, whose requests are under way at the same time. See `store.Store`.

    No request lists a folder: web servers need not know how, and in object stores it is slow and costs money.

    Args:
        cache: None: nothing on this machine's disk.
        deadline: of a read, with all attempts, seconds.
        indexes: kept in memory at most.
        threads: that fetch ahead.

    Raises:
        FileNotFoundError: no finished set. FormatError: its manifest is damaged. OSError: the storage failed.
        ValueError: an address that cannot be read from. RuntimeError: a package is missing.
    """

    remote = True

    def __init__(
        self, url: str, *, cache: Cache | None = None, deadline: float = 60.0, indexes: int = 64, threads: int = 2
    ) -> None:
        self._address, self._patience = Address(url), Patience(deadline)
        self._traffic, self._closing = Traffic(), Event()
        self._source: Source = open_source(self._address, deadline)
        self._fetcher = Fetcher(weakref.WeakMethod(self._ahead), threads)
        self._close = weakref.finalize(self, _shut, self._closing, self._source, self._fetcher)
        try:
            self.manifest = self._load_manifest()
            self._cache = SetCache(cache, self.manifest, self._traffic) if cache is not None else None
        except BaseException:
            self.close()
            raise
        self._indexes_kept = indexes
        # the bytes of an index come through a weak reference too, or store and indexes would keep each other alive
        fetch = weakref.WeakMethod(self._index_bytes)
        self._indexes = Indexes(self.manifest, lambda shard: _alive(fetch())(shard), str(self), indexes)

    def __str__(self) -> str:
        return str(self._address)

    def __repr__(self) -> str:
        return f"RemoteStore({self})"

    def index(self, shard: int) -> ShardIndex:
        with self._traffic.reading(file_of(self.manifest, shard, "npz"), 0):
            return self._indexes.get(shard)

    def read(self, shard: int, offset: int, out: np.ndarray, *, fresh: bool = False) -> None:
        until = time.monotonic() + self._patience.deadline
        view = memoryview(out.data)

        def fetch(shard: int, offset: int, view: memoryview) -> None:
            self._fetch(shard, offset, view, until - time.monotonic())

        with self._traffic.reading(self.manifest.name(shard), offset):
            if self._cache is not None and not fresh and self._cache.read(shard, offset, view, fetch):
                return
            fetch(shard, offset, view)
            if self._cache is not None and fresh and self._cache.compare(shard, offset, view):
                self._fetcher.again(shard)

    def expect(self, shards: Sequence[int]) -> None:
        nearest = [int(shard) for shard in shards[: max(1, self._indexes_kept // 2)]]
        if self._cache is not None:
            self._cache.plan(nearest)
        self._fetcher.expect(nearest)

    def pending(self) -> list[Pending]:
        return self._traffic.pending()

    def report(self) -> dict[str, Any]:
        counts = {name: self._traffic.count(name) for name in ("bytes", "requests", "retries")}
        cached = {} if self._cache is None else {"cache": self._cache.report()}
        return {"place": str(self), **counts, "notes": self._traffic.notes(), **cached}

    def close(self) -> None:
        self._close()

    def __enter__(self) -> "RemoteStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ahead(self, shard: int) -> bool:
        """What a fetching thread does for a shard that is needed soon; whether it is done."""
        self._indexes.get(shard)
        if self._cache is None:
            return True
        return self._cache.download(shard, lambda s, at, view: self._fetch(s, at, view, self._patience.deadline))

    def _load_manifest(self) -> manifest.Manifest:
        begin = time.monotonic()

        def may_pass(error: BaseException) -> bool:
            return passing(error) and (not unreachable(error) or time.monotonic() - begin < _GREETING)

        outcome = self._persist(lambda left: self._source.whole(manifest.FILE, left), self._patience, may_pass)
        if outcome.value is not None:
            return manifest.parse(outcome.value, f"{self}/{manifest.FILE}")
        if isinstance(outcome.error, FileNotFoundError):
            raise FileNotFoundError(f"{self} is no finished shard set: it has no {manifest.FILE}")
        raise self._failed(manifest.FILE, "", 0, outcome)

    def _index_bytes(self, shard: int) -> bytes:
        file = file_of(self.manifest, shard, "npz")
        outcome = self._persist(lambda left: self._source.whole(file, left), self._patience)
        if outcome.value is None:
            raise self._failed(file, self.manifest.name(shard), 0, outcome)
        self._traffic.add(bytes=len(outcome.value))
        return outcome.value

    def _fetch(self, shard: int, offset: int, view: memoryview, seconds: float) -> None:
        """Fill a buffer from the storage."""
        if not len(view):
            return
        file, transfer = file_of(self.manifest, shard, "tar"), Transfer(view, offset)
        try:
            patience = Patience(max(seconds, 0.001))
            outcome = self._persist(lambda left: self._source.fill(file, transfer, left), patience)
        finally:
            transfer.end()
        self._traffic.add(bytes=transfer.done)
        if outcome.error is not None:
            raise self._failed(file, self.manifest.name(shard), transfer.at, outcome, transfer)

    def _persist(
        self, attempt: Callable[[float], T], patience: Patience, may_pass: Callable[[BaseException], bool] = passing
    ) -> Outcome[T]:
        def counted(left: float) -> T:
            self._traffic.add(requests=1)
            return attempt(left)

        return persist(counted, patience, sleep=self._closing.wait, retried=self._traffic.retry, may_pass=may_pass)

    def _failed(self, file: str, shard: str, at: int, outcome: Outcome[Any], transfer: Transfer | None = None) -> ReadError:
        """One sentence instead of an error that may show secrets. It has no cause for the same reason."""
        error, where = outcome.error, f"{self}/{file}"
        assert error is not None
        if self._closing.is_set():
            return ReadError(f"reading {where} at byte {at} was given up: the store was closed", shard, at)
        if isinstance(error, FileNotFoundError):
            return ShardMissingError(f"{where} is gone; the manifest of {self} names it", shard, at)
        if isinstance(error, EndsError) and transfer is not None:
            return CutShortError(f"{where} ends at byte {error.end}; its index promises {transfer.stop}", shard, at, error.end)
        reason = self._address.clean(error)
        came = f", {transfer.done} of {transfer.size} bytes have come" if transfer is not None else ""
        if not outcome.final and timed_out(error):
            return StalledError(f"reading {where} at byte {at} stalled: {outcome}{came}, the last: {reason}", shard, at)
        return ReadError(f"reading {where} at byte {at} failed: {reason} ({outcome}{came})", shard, at)


def _shut(closing: Event, source: Source, fetcher: Fetcher) -> None:
    closing.set()
    source.close()
    fetcher.close()


def _alive(method: Callable[[int], bytes] | None) -> Callable[[int], bytes]:
    assert method is not None, "who asks for an index holds the store"
    return method
