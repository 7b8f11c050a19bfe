"""Threads that work ahead on the shards that will be needed soon."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress


class Fetcher:
    """Calls `work(shard)` for each expected shard, soonest first, once as long as it stays expected; what has failed, or must wait,
    is tried again with the next expectation.

    It holds its owner by a weak reference only, so that an owner which is forgotten can be collected.

    Args:
        work: gives the function, or None when its owner is gone (a `weakref.WeakMethod`). The function tells whether it is done;
            OSError and ValueError (of damaged files) mean that it is not, and who needs the shard will meet them too.
        threads: at most; they are started with the first expectation.
    """

    def __init__(self, work: Callable[[], Callable[[int], bool] | None], threads: int) -> None:
        self._work, self._limit = work, threads
        self._threads: list[threading.Thread] = []
        self._wanted: list[int] = []
        self._taken: set[int] = set()
        self._undone: set[int] = set()
        self._closed = False
        self._condition = threading.Condition()

    def expect(self, shards: Sequence[int]) -> None:
        """These, instead of those before; what is under way goes on."""
        with self._condition:
            if self._closed:
                return
            self._wanted = [int(shard) for shard in shards]
            self._taken &= set(self._wanted) - self._undone
            self._undone.clear()
            self._condition.notify_all()
            if self._wanted:
                self._start()

    def again(self, shard: int) -> None:
        """Once more, if it is expected."""
        with self._condition:
            self._taken.discard(shard)
            self._condition.notify_all()

    def _start(self) -> None:
        while len(self._threads) < self._limit:
            name = f"sonosphere-fetch-{len(self._threads)}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while (shard := self._next()) is not None:
            work = self._work()
            if work is None:
                return
            done = False
            with suppress(OSError, ValueError):
                done = work(shard)
            if not done:
                with self._condition:
                    self._undone.add(shard)
            del work

    def _next(self) -> int | None:
        with self._condition:
            while True:
                if self._closed:
                    return None
                free = next((shard for shard in self._wanted if shard not in self._taken), None)
                if free is not None:
                    self._taken.add(free)
                    return free
                self._condition.wait()

    def close(self, patience: float = 1.0) -> None:
        """End the threads; one that is stuck in the storage is left to itself after `patience` seconds."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        until = time.monotonic() + patience
        for thread in self._threads:
            if thread is not threading.current_thread():  # the collector may run here and finalize the owner
                thread.join(max(0.0, until - time.monotonic()))
