"""All that has threads and open files in a loader, so that it can be ended as one, whatever becomes of the loader."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from dataio.stream.batch import Batch, Batcher
from dataio.stream.device.which import index_of
from dataio.stream.health import Health, Ward
from dataio.stream.meter import Meter
from dataio.stream.order.mixture import Order
from dataio.stream.order.steps import Step
from dataio.stream.producer import Planned, Producer
from dataio.stream.sets import Sets
from dataio.stream.store.errors import StalledError
from dataio.stream.supply import Supply

_GRACE = 5.0  # seconds beyond its deadline in which a store may say itself what is wrong
_UNWATCHED = 2.0  # seconds without a look at the reads under way, after which the watch begins anew
_REMOTE_READERS = 16
_WINDOWS = 3  # windows of shards that stores are told of: the one that is read, and two to come

Steps = Callable[[int, int], Iterator[Step]]


@dataclass(frozen=True)
class Means:
    """What a batcher is made of. device: `cpu` or a GPU that is there. readers: threads that only read; 0: the others do."""

    supply: Supply
    meter: Meter
    device: str
    batch_size: int
    threads: int
    readers: int


@dataclass(frozen=True)
class Made:
    """A batcher. decoder: who decodes pictures. notes: what a user should know."""

    batcher: Batcher
    decoder: str = ""
    notes: tuple[str, ...] = ()


class Engine:
    """Makes batches ahead of time. It holds no reference to the loader, which can so be collected.

    Args:
        make: the batcher for these means.
        window: shards, of the order. readers, prefetch, deadline: as in `Loader`.
    """

    def __init__(
        self,
        sets: Sets,
        order: Order,
        make: Callable[[Means], Made],
        *,
        seed: int,
        window: int,
        epochs: int | None,
        batch_size: int,
        device: str,
        threads: int,
        readers: int | None,
        prefetch: int,
        deadline: float,
        health: Health,
        meter: Meter,
    ) -> None:
        self._sets, self._meter, self._deadline, self._prefetch = sets, meter, deadline, prefetch
        self._order, self._window, self._epochs = order, window, epochs
        self._ward = Ward(health, sets.names)
        self.supply = Supply(sets.readers, order, seed, self._ward, meter)
        self.device = self._usable(device)
        self._producer: Producer | None = None
        self._expected: dict[int, list[int]] = {}
        self._at: tuple[int, int] | None = None
        self._watched = self._looked = time.monotonic()
        if readers is None:
            readers = _REMOTE_READERS if sets.remote else 0
        made = make(Means(self.supply, meter, self.device, batch_size, threads, readers))
        self._batcher, self._decoder = made.batcher, made.decoder
        for note in made.notes:
            sets.note(note)

    def _usable(self, device: str) -> str:
        import torch

        try:
            where = torch.device(device)
        except RuntimeError:
            where = torch.device("meta")
        if where.type not in ("cpu", "cuda"):
            raise ValueError(f"device={device!r} must be cpu or cuda[:index]")
        if where.type == "cpu":
            return "cpu"
        if not torch.cuda.is_available():
            self._sets.note(f"device={device!r}: no usable GPU, so everything runs on the CPU")
            return "cpu"
        return f"cuda:{index_of(where.index, torch.cuda.current_device(), torch.cuda.device_count(), os.environ)}"

    @property
    def batches_ahead(self) -> int:
        return self._prefetch + self._batcher.ahead + 1

    def next(self, epoch: int, position: int, steps: Steps) -> tuple[Step, Batch]:
        """The batch of the step that begins at this position of this epoch.

        Raises:
            TooManyCorruptError, OSError, … : whatever went wrong in a thread. Asking again starts anew from there.
        """
        if self._producer is None or self._at != (epoch, position):
            self.stop()
            planned = (self._planned(step) for step in steps(epoch, position))
            self._producer = Producer(self._batcher, planned, self._prefetch, self._meter, self._check)
        self._at = None  # an interrupt between the queue and the last line must not leave a queue that has lost a batch
        try:
            item = self._producer.get()
            if item is None:
                raise RuntimeError(f"no step begins at position {position} of epoch {epoch}: the loader was told to end before")
        except BaseException:
            self.stop()
            raise
        self._at = item[0].epoch, item[0].end
        return item[0], self._batcher.hand_over(item[1])  # in the thread that will use it

    def _planned(self, step: Step) -> Planned:
        if self._sets.remote:
            self._expect(step)
        return step, self.supply.picks(step.epoch, step.positions)

    def _expect(self, step: Step) -> None:
        """Tell the stores which shards come next, so that they can fetch them."""
        ahead = self._order.shards_ahead(step.epoch, step.begin, _WINDOWS * self._window * len(self._sets.stores), self._epochs)
        for source, store in enumerate(self._sets.stores):
            rows = [row for s, row in ahead if s == source]
            if rows != self._expected.get(source):
                self._expected[source] = rows
                store.expect(rows)

    def ended(self, epoch: int, position: int) -> None:
        """No step of this epoch begins at this position, so the batch after it is the first of the next epoch."""
        if self._at == (epoch, position):
            self._at = epoch + 1, 0

    def _check(self) -> None:
        """Raises StalledError when a read has taken longer than it may, and was watched that long: a process may be suspended."""
        now = time.monotonic()
        if now - self._looked > _UNWATCHED:
            self._watched = now
        self._looked = now
        for store in self._sets.stores:
            for p in store.pending():
                if min(p.seconds, now - self._watched) > self._deadline + (_GRACE if store.remote else 0):
                    raise StalledError(
                        f"reading {store} hangs: {p.shard} at byte {p.offset} has not come for {p.seconds:.0f} s "
                        f"(deadline={self._deadline:g})",
                        p.shard,
                        p.offset,
                    )

    def stop(self) -> None:
        """Discard what was prepared."""
        producer, self._producer, self._at = self._producer, None, None
        if producer is not None:
            producer.stop()

    def report(self) -> dict[str, Any]:
        return {
            "device": self.device,
            "decoder": self._decoder,
            "health": self._ward.report(),
            "stores": {name or "set": store.report() for name, store in zip(self._sets.names, self._sets.stores, strict=True)},
            "buffer_bytes": self._batcher.buffer_bytes,
        }

    def close(self) -> None:
        with ExitStack() as rest:  # backwards, and on when one of them raises
            for end in (self._meter.close, self._sets.close, self._batcher.close, self.stop):
                rest.callback(end)
