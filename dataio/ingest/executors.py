"""Running the builder's work: one function over many items, results in the order of the items."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class Executor(Protocol):
    """Maps a picklable function over items, a bounded number of them ahead, and yields the results in order."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]: ...


class Inline:
    """In the calling process, one after another."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        yield from map(function, items)


class LocalPool:
    """Spawned processes on this machine, each single-threaded; at most two items a worker are under way."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, mp_context=context, initializer=_single_threaded) as pool:
            todo = iter(items)
            running: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(todo, 2 * self.workers))
            try:
                while running:
                    result = running.popleft().result()
                    running.extend(pool.submit(function, item) for item in islice(todo, 1))
                    yield result
            finally:
                pool.shutdown(cancel_futures=True)


def _single_threaded() -> None:
    os.environ.update(_ONE_THREAD)


def local(workers: int) -> Executor:
    """Raises ValueError for fewer than one worker."""
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    return Inline() if workers == 1 else LocalPool(workers)
