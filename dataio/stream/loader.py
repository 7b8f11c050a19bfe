"""Batches of tensors, in an order that does not depend on how many ask for it."""

import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

import numpy as np
import torch

from dataio.stream import state
from dataio.stream.batch import Batch
from dataio.stream.clips import clip_batcher
from dataio.stream.engine import Engine, Made, Means
from dataio.stream.health import Health
from dataio.stream.meter import Meter, Trace
from dataio.stream.order.mixture import Order
from dataio.stream.order.steps import LAST_BATCH, LastBatch, Step, begins, steps, walk
from dataio.stream.reader import ClipReader
from dataio.stream.sets import Sets
from dataio.stream.spec import ClipSpec
from dataio.stream.state import StateError
from dataio.stream.store.store import Cache, Store
from dataio.stream.supply import Pick

__all__ = ["ClipLoader", "Loader", "Options", "StateError"]


class Options(TypedDict, total=False):
    """What every loader can be told, by name; see `Loader`."""

    device: str
    split: str | None
    shares: Mapping[str, float] | None
    seed: int
    epoch: int
    rank: int | None
    world_size: int | None
    last_batch: LastBatch
    threads: int | None
    readers: int | None
    prefetch: int
    window: int
    shuffle: bool
    epochs: int | None
    cache: Cache | None
    deadline: float
    health: Health
    trace: str | Path | None


class Loader:
    """Iterates over the batches of an epoch; the next iteration is the next epoch. After a `break` it goes on in the same one.

    What is read, and what becomes of it, is the matter of ClipLoader and ImageLoader. Both take these arguments:

    Args:
        path: folder or URL of a shard set, or several by name: they become one stream.
        batch_size: clips a batch, on each rank.
        device: `cpu` or `cuda[:i]`; without a GPU, `cuda` falls back to the CPU and says so (`fallbacks`).
        split: only this split; None: everything.
        shares: of several sets, by name, in every epoch, exactly; None: as large as they are, so that every clip comes once.
        seed, epoch: decide the order and every random choice, together with the fingerprints of the sets.
        rank, world_size: which part of every step is ours; from torch.distributed where it runs.
        last_batch: `drop` an incomplete last step, `pad` it from the epoch's beginning, or hand out a `partial` one, which may be
            empty on some ranks.
        threads: that make clips; default: all cores that this process may use.
        readers: threads that only read ahead of them; default: none for folders, 16 for URLs, where reading is waiting.
        prefetch: finished batches that wait at most; two more are under way.
        window: shards whose clips are shuffled together: more mixes better, fewer keeps reads local (`bench shuffle` tells).
        shuffle: False takes the clips as they lie, shard after shard.
        epochs: how many there will be, counted from 0; nothing is read beyond the last. None: it never ends.
        cache: keeps remote shards on this machine.
        deadline: seconds after which a read that has not come is an error.
        health: how much damage the run bears, and where corrupt clips are written down.
        trace: a file for the times of all stages, which Perfetto opens; ranks other than 0 write beside it.

    Raises:
        FileNotFoundError: no finished shard set at `path`. FormatError: a damaged one.
        SpecError, ValueError: an argument that cannot be; the message names it and what is allowed.
    """

    def __init__(
        self,
        path: str | Path | Mapping[str, str | Path],
        open_reader: Callable[[Store], ClipReader],
        make: Callable[[Means], Made],
        pairs: tuple[str, ...],
        *,
        batch_size: int,
        device: str = "cpu",
        split: str | None = None,
        shares: Mapping[str, float] | None = None,
        seed: int = 0,
        epoch: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        last_batch: LastBatch = "drop",
        threads: int | None = None,
        readers: int | None = None,
        prefetch: int = 2,
        window: int = 8,
        shuffle: bool = True,
        epochs: int | None = None,
        cache: Cache | None = None,
        deadline: float = 60.0,
        health: Health = Health(),
        trace: str | Path | None = None,
    ) -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = rank if rank is not None else (torch.distributed.get_rank() if distributed else 0)
        self.world_size = world_size if world_size is not None else (torch.distributed.get_world_size() if distributed else 1)
        threads = len(os.sched_getaffinity(0)) if threads is None else threads
        counts = {"batch_size": batch_size, "threads": threads, "prefetch": prefetch, "window": window, "epochs": epochs}
        for name, value, least in [(*item, 1) for item in counts.items()] + [("readers", readers, 0), ("epoch", epoch, 0)]:
            if value is not None and (not isinstance(value, int) or value < least):
                raise ValueError(f"{name}={value!r} must be at least {least} and a whole number")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank={self.rank} must be from 0 to world_size − 1 = {self.world_size - 1}")
        if last_batch not in LAST_BATCH:
            raise ValueError(f"last_batch={last_batch!r} must be one of {', '.join(LAST_BATCH)}")
        if not deadline > 0:
            raise ValueError(f"deadline={deadline} must be a positive number of seconds")
        places = dict(path) if isinstance(path, Mapping) else {"": path}
        if shares is not None and set(shares) != set(places):
            raise ValueError(f"shares={dict(shares)} must name the sets: {', '.join(places)}")
        self.batch_size, self.last_batch, self._pairs = batch_size, last_batch, pairs
        self.split, self.seed, self._epoch, self.window, self.shuffle = split, seed, epoch, window, shuffle
        self.shares = dict(shares) if shares is not None else None
        self._sets = Sets(places, split, pairs, open_reader, window=window, cache=cache, deadline=deadline)
        try:
            record = Trace(trace, self.rank) if trace is not None else None
            self.meter = Meter(record, remote=self._sets.remote)
            weights = [self.shares[name] for name in self._sets.names] if self.shares is not None else None
            self.order = Order(self._sets.sources, seed=seed, window=window, shuffle=shuffle, shares=weights)
            self._engine = Engine(
                self._sets,
                self.order,
                make,
                seed=seed,
                window=window,
                epochs=epochs,
                batch_size=batch_size,
                device=device,
                threads=threads,
                readers=readers,
                prefetch=prefetch,
                deadline=deadline,
                health=health,
                meter=self.meter,
            )
        except BaseException:
            self._sets.close()
            raise
        self.device = self._engine.device
        self.epochs = epochs
        self._position = 0
        self._iterating = self._closed = False
        self._finalizer = weakref.finalize(self, _close, self._engine, os.getpid())

    @property
    def fallbacks(self) -> list[str]:
        """What is not as one might expect, as it was printed."""
        return self._sets.notes

    @property
    def epoch(self) -> int:
        """Of the next batch. Setting it goes to that epoch's beginning."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch, self._position = epoch, 0

    @property
    def splits(self) -> set[str]:
        """Those that every one of the sets has."""
        return self._sets.splits

    @property
    def clips(self) -> int:
        """Clips of an epoch, over all ranks."""
        return len(self.order)

    def __len__(self) -> int:
        """Steps of a whole epoch."""
        return steps(self.clips, self.batch_size, self.world_size, self.last_batch)

    def __iter__(self) -> Iterator[Batch]:
        if self._iterating or self._closed:
            why = "was closed" if self._closed else "is being iterated already; two iterations at once need two loaders"
            raise RuntimeError(f"this loader {why}")
        self._iterating = True
        try:
            while not self._closed and self._left(self._position):
                step, batch = self._engine.next(self._epoch, self._position, self._steps)
                self._position = step.end
                yield batch
            if self._closed:
                raise RuntimeError("this loader was closed while it was being iterated")
            self._engine.ended(self._epoch, self._position)
            self.epoch += 1
        finally:
            self._iterating = False
            self.meter.paused()

    def _left(self, position: int) -> bool:
        """Whether a step of the epoch begins at this position."""
        return begins(self.clips, position, self.batch_size * self.world_size, self.last_batch)

    def _steps(self, epoch: int, position: int) -> Iterator[Step]:
        return walk(self.clips, self.batch_size, self.rank, self.world_size, self.last_batch, epoch, position, self.epochs)

    @property
    def batches_ahead(self) -> int:
        """Batches that exist at most before they are asked for: ready, being made, and one at the door."""
        return self._engine.batches_ahead

    def planned(self, epoch: int, positions: np.ndarray) -> list[Pick]:
        """Which clips stand at these positions of an epoch, over all ranks, and what is drawn for them; nothing is read."""
        return self._engine.supply.picks(epoch, positions)

    def locate(self, pick: Pick) -> tuple[int, int]:
        """Shard and row of a clip within its set."""
        return self._engine.supply.readers[pick.source].locate(pick.clip)

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, in JSON: it counts what was handed out, not what was prefetched; the same on every rank."""
        return {
            "version": state.VERSION,
            "sets": list(self._sets.names),  # their order is part of the stream's
            "fingerprint": dict(zip(self._sets.names, (s.fingerprint for s in self._sets.sources), strict=True)),
            "split": self.split,
            "pairs": sorted(self._pairs),  # they decide which shards take part
            "shares": self.shares,
            "seed": self.seed,
            "window": self.window,
            "shuffle": self.shuffle,
            "epoch": self.epoch,
            "position": self._position,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from there, on any number of ranks and with any batch size.

        Raises:
            StateError: the state is of another data set, split, seed or order, or none at all.
        """
        self._epoch, self._position = state.restore(saved, self.state_dict(), self.clips)

    def report(self) -> dict[str, Any]:
        """Stages, queues, rate and verdict since the loader was made (see `Meter.report`), with `fallbacks`, `health`, `stores`,
        the `decoder` and the memory of the batches.
        """
        return self.meter.report() | {"fallbacks": list(self.fallbacks)} | self._engine.report()

    def close(self) -> None:
        """End all threads and close all files, for good. Batches that were handed out stay valid."""
        self._closed = True
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ClipLoader(Loader):
    """Batches of clips: frames, sound, and what else the spec asks for, as in the table of the README.

    Args:
        path, options: see `Loader`.
        spec: the fields wanted. Default: frames and the front pair.
        batch_size: clips a batch, on each rank.
        decoder: of the frames, see `decoders`; `auto` takes the best there is.

    Raises:
        As Loader.
    """

    def __init__(
        self,
        path: str | Path | Mapping[str, str | Path],
        spec: ClipSpec = ClipSpec(),
        *,
        batch_size: int,
        decoder: str = "auto",
        **options: Unpack[Options],
    ) -> None:
        self.spec = spec
        open_reader, make = partial(ClipReader, spec=spec), partial(clip_batcher, spec, decoder)
        super().__init__(path, open_reader, make, spec.stored_pairs, batch_size=batch_size, **options)


def _close(engine: Engine, pid: int) -> None:
    """A forked child has none of the threads, and must not end the trace and the files of its parent."""
    if os.getpid() == pid:
        engine.close()
