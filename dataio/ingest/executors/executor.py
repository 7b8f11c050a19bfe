"""The interface: sessions that take one call at a time and give a future back, and what can be made of that."""

import concurrent.futures
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class WorkerDiedError(RuntimeError):
    """A worker vanished without a word: it was killed, the machine ran out of memory, or it crashed."""


class Executor(ABC):
    """slots: calls that run at the same time; handing out a few more than that keeps every worker busy."""

    slots: int

    @abstractmethod
    def session(self) -> AbstractContextManager[concurrent.futures.Executor]:
        """Start the workers, for the length of a `with` block. Left by an exception, it does not wait for what they are doing."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """The results in the order of the items; at most two items a slot are under way. The function must be picklable."""
        todo = iter(items)
        with self.session() as session:
            running: deque[concurrent.futures.Future[Any]] = deque(
                session.submit(function, item) for item in islice(todo, 2 * self.slots)
            )
            while running:
                result = running.popleft().result()
                running.extend(session.submit(function, item) for item in islice(todo, 1))
                yield result
