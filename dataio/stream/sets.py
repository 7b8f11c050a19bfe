"""The shard sets that a loader reads: opened, checked against the spec, and cut down to the shards that take part."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dataio.stream.order.mixture import Source
from dataio.stream.reader import ClipReader
from dataio.stream.store.place import open_store
from dataio.stream.store.store import Cache, Store


class Sets:
    """One or several sets by name; a single one may be nameless.

    Args:
        pairs: that every clip must have; shards that lack one are left out.
        open_reader: raises SpecError where a set lacks what is asked for.

    names, readers, sources: of the sets, in the order given. notes: what a user should know about what takes part.

    Raises:
        FileNotFoundError, FormatError, SpecError, ValueError: as ClipLoader does; whatever was opened is closed again.
    """

    def __init__(
        self,
        places: Mapping[str, str | Path],
        split: str | None,
        pairs: tuple[str, ...],
        open_reader: Callable[[Store], ClipReader],
        *,
        window: int,
        cache: Cache | None,
        deadline: float,
    ) -> None:
        if not places:
            raise ValueError("path={} names no shard set")
        self.names = tuple(places)
        self.notes: list[str] = []
        self.readers: list[ClipReader] = []
        self.sources: list[Source] = []
        stores: list[Store] = []
        try:
            for name, place in places.items():
                store = open_store(place, cache=cache, deadline=deadline, indexes=max(64, 3 * window))
                stores.append(store)
                self.readers.append(open_reader(store))
                self.sources.append(self._select(name, store, split, pairs))
        except BaseException:
            for store in stores:
                store.close()
            raise

    def _select(self, name: str, store: Store, split: str | None, pairs: tuple[str, ...]) -> Source:
        """Shards of the split whose clips have the pairs asked for; says which share of them is left out."""
        found = store.manifest
        every, chosen = found.select(split), found.select(split, pairs)
        of = f" of {name}" if name else ""
        if len(chosen) < len(every):
            lacking = f"{len(every) - len(chosen)} of {len(every)} shards{of} lack one of the pairs {', '.join(pairs)}"
            self.note(f"pairs: {lacking}, so their clips are left out")
        if bare := int((found.shards["crc"][chosen] == 0).sum()):
            self.note(f"{bare} of {len(chosen)} shards{of} were indexed by their headers alone: nothing they hold can be checked")
        return Source(found.fingerprint, found.first_clip, np.asarray(chosen, np.int64))

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(f"sonosphere: {text}", file=sys.stderr)

    @property
    def splits(self) -> set[str]:
        return set.intersection(*(set(store.manifest.splits) for store in self.stores))

    @property
    def remote(self) -> bool:
        return any(store.remote for store in self.stores)

    @property
    def stores(self) -> list[Store]:
        return [reader.store for reader in self.readers]

    def close(self) -> None:
        for store in self.stores:
            store.close()
