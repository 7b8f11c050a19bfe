"""ClipLoader: batches of tensors, in an order that does not depend on how many ask for it."""

import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dataio.stream.batch import Batch, Batcher
from dataio.stream.batch_cpu import CpuBatcher
from dataio.stream.meter import Meter
from dataio.stream.order import choices, epoch, steps
from dataio.stream.reader import ClipReader
from dataio.stream.spec import ClipSpec
from dataio.stream.store.local import LocalStore

_STATE = 1  # version of state_dict


class StateError(ValueError):
    """A loader state belongs to another data set or another order; the message names the difference."""


class ClipLoader:
    """Iterates over the batches of an epoch; the next iteration is the next epoch. After a `break` it goes on in the same one.

    Args:
        path: folder of a shard set.
        spec: the fields wanted. Default: frames and the front pair.
        batch_size: clips a batch, on each rank.
        device: `cpu` or `cuda[:i]`; without a GPU, `cuda` falls back to the CPU and says so (`fallbacks`).
        split: only this split; None: the whole set.
        seed, epoch: decide the order and every random choice, together with the set's fingerprint.
        rank, world_size: which part of every step is ours; from torch.distributed where it runs.
        last_batch: `drop` an incomplete last step, `pad` it from the epoch's beginning, or hand out a `partial` one.
        threads: for reading, decoding and kernels; default: all cores that this process may use.
        prefetch: finished batches that wait at most.
        window: shards whose clips are shuffled together: more mixes better, fewer keeps reads local.
        shuffle: False takes the clips in the order of the shards.

    Raises:
        FileNotFoundError: no finished shard set at `path`. FormatError: a damaged one.
        SpecError, ValueError: an argument that cannot be; the message names it and what is allowed.
    """

    def __init__(
        self,
        path: str | Path,
        spec: ClipSpec = ClipSpec(),
        *,
        batch_size: int,
        device: str = "cpu",
        split: str | None = None,
        seed: int = 0,
        epoch: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        last_batch: steps.LastBatch = "drop",
        threads: int | None = None,
        prefetch: int = 2,
        window: int = 4,
        shuffle: bool = True,
    ) -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = rank if rank is not None else (torch.distributed.get_rank() if distributed else 0)
        self.world_size = world_size if world_size is not None else (torch.distributed.get_world_size() if distributed else 1)
        threads = len(os.sched_getaffinity(0)) if threads is None else threads
        for name, value in {"batch_size": batch_size, "threads": threads, "prefetch": prefetch, "window": window}.items():
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank={self.rank} must be from 0 to world_size − 1 = {self.world_size - 1}")
        if last_batch not in steps.LAST_BATCH:
            raise ValueError(f"last_batch={last_batch!r} must be one of {', '.join(steps.LAST_BATCH)}")
        self.spec, self.batch_size, self.last_batch = spec, batch_size, last_batch
        self.split, self.seed, self.epoch, self.window, self.shuffle = split, seed, epoch, window, shuffle
        self.store = LocalStore(Path(path))
        self.meter = Meter()
        self.fallbacks: list[str] = []
        self.device = self._choose(device)
        spec.check(self.store.manifest)
        self._shards = self._select()
        self._position = 0
        self._prefetch = prefetch
        self._producer: _Producer | None = None
        self._closed = False
        self._batcher = self._make(ClipReader(self.store, spec), threads)

    def _choose(self, device: str) -> str:
        kind = torch.device(device).type
        if kind not in ("cpu", "cuda"):
            raise ValueError(f"device={device!r} must be cpu or cuda[:index]")
        if kind == "cuda" and not torch.cuda.is_available():
            self._note(f"device={device!r}: no usable GPU, so everything runs on the CPU")
            return "cpu"
        return device

    def _select(self) -> np.ndarray:
        """Shards of the split whose clips have the pairs asked for; says which share of them is left out."""
        every = self.store.manifest.select(self.split)
        chosen = self.store.manifest.select(self.split, self.spec.stored_pairs)
        if len(chosen) < len(every):
            lacking = f"{len(every) - len(chosen)} of {len(every)} shards lack one of the pairs {', '.join(self.spec.stored_pairs)}"
            self._note(f"pairs={self.spec.pairs!r}: {lacking}, so their clips are left out")
        if bare := int((self.store.manifest.shards["crc"][chosen] == 0).sum()):
            self._note(f"{bare} of {len(chosen)} shards were indexed by their headers alone: nothing they hold can be checked")
        return chosen

    def _note(self, text: str) -> None:
        self.fallbacks.append(text)
        print(f"sonosphere: {text}", file=sys.stderr)

    def _make(self, reader: ClipReader, threads: int) -> Batcher:
        if self.device == "cpu":
            return CpuBatcher(reader, batch_size=self.batch_size, threads=threads, meter=self.meter)
        from dataio.stream.batch_cuda import CudaBatcher

        return CudaBatcher(reader, batch_size=self.batch_size, threads=threads, meter=self.meter, device=self.device)

    @property
    def clips(self) -> int:
        """Clips of an epoch, over all ranks."""
        first = self.store.manifest.first_clip
        return int((first[self._shards + 1] - first[self._shards]).sum())

    def __len__(self) -> int:
        """Steps of a whole epoch."""
        return steps.steps(self.clips, self.batch_size, self.world_size, self.last_batch)

    def __iter__(self) -> Iterator[Batch]:
        if self._producer is not None or self._closed:
            why = "was closed" if self._closed else "is being iterated already; two iterations at once need two loaders"
            raise RuntimeError(f"this loader {why}")
        plan = self._plan()
        producer = self._producer = _Producer(self._batcher, self._jobs(plan, self._position), self._prefetch)
        stride = self.batch_size * self.world_size
        try:
            while not self._closed and (item := producer.get(self.meter)) is not None:
                self._position = min(self._position + stride, len(plan))
                yield item
            if self._closed:
                raise RuntimeError("this loader was closed while it was being iterated")
            self.epoch, self._position = self.epoch + 1, 0
        finally:
            producer.stop()
            self._producer = None

    def _plan(self) -> epoch.Epoch:
        m = self.store.manifest
        return epoch.plan(m.first_clip, self._shards, m.fingerprint, self.seed, self.epoch, self.window, self.shuffle)

    def _jobs(self, plan: epoch.Epoch, position: int) -> Iterator[tuple[Any, choices.Choices]]:
        """Clip ids and choices of this rank's batches, from a position of the epoch to its end."""
        media = self.store.manifest.media
        samples = round(media.clip_seconds * media.rate)
        while position < len(plan):
            ids = plan.clips(steps.cut(len(plan), position, self.batch_size, self.rank, self.world_size, self.last_batch))
            if not len(ids):
                return
            yield ids, choices.choose(self.spec, samples, self.seed, self.epoch, ids)
            position += self.batch_size * self.world_size

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, in JSON: it counts what was handed out, not what was prefetched; the same on every rank."""
        return {
            "version": _STATE,
            "fingerprint": self.store.manifest.fingerprint,
            "split": self.split,
            "seed": self.seed,
            "window": self.window,
            "shuffle": self.shuffle,
            "epoch": self.epoch,
            "position": self._position,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, on any number of ranks and with any batch size.

        Raises:
            StateError: the state is of another data set, split, seed or order.
        """
        for name, mine in self.state_dict().items():
            if name not in ("epoch", "position") and state.get(name) != mine:
                raise StateError(
                    f"the loader state has {name}={state.get(name)!r}, this loader {mine!r}: it cannot go on from there"
                )
        self.epoch, self._position = int(state["epoch"]), int(state["position"])

    def report(self) -> dict[str, Any]:
        """Stages, rate and verdict since the loader was made (see `Meter.report`), `fallbacks`, and the memory of the batches."""
        return self.meter.report() | {"fallbacks": self.fallbacks, "buffer_bytes": getattr(self._batcher, "buffer_bytes", 0)}

    def close(self) -> None:
        """End all threads and close all files, for good. Batches that were handed out stay valid."""
        self._closed = True
        if self._producer is not None:
            self._producer.stop()
        self._batcher.close()
        self.store.close()

    def __enter__(self) -> "ClipLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Producer:
    """A thread that keeps at most `prefetch` finished batches ready, and the reads of one more under way."""

    def __init__(self, batcher: Batcher, jobs: Iterator[tuple[Any, choices.Choices]], prefetch: int) -> None:
        self._ready: queue.Queue[Batch | BaseException | None] = queue.Queue(prefetch)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(batcher, jobs), name="sonosphere-producer", daemon=True)
        self._thread.start()

    def _run(self, batcher: Batcher, jobs: Iterator[tuple[Any, choices.Choices]]) -> None:
        try:
            reading: deque = deque()
            for job in jobs:
                reading.append(batcher.start(*job))
                if len(reading) == 2 and not self._put(batcher.finish(reading.popleft())):
                    return
            while reading:
                if not self._put(batcher.finish(reading.popleft())):
                    return
            self._put(None)
        except BaseException as error:  # it belongs to whoever iterates
            self._put(error)

    def _put(self, item: Batch | BaseException | None) -> bool:
        while not self._stopping.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def get(self, meter: Meter) -> Batch | None:
        """The next batch, or None at the end. Raises what went wrong in the thread."""
        asked, occupancy = time.perf_counter(), self._ready.qsize() / self._ready.maxsize
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        if item is not None:
            meter.delivered(len(item["clip"]), occupancy, asked)
        return item

    def stop(self) -> None:
        """Wait until the thread is done with what it is doing; nothing of it is left behind."""
        self._stopping.set()
        while self._thread.is_alive():
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()
