"""Something of its own for every thread that measures, so that nobody waits for a lock.

Threads come and go in a run of weeks, so what a thread leaves behind is folded away once it has ended: memory is bounded by the
threads that live at the same time.
"""

import re
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def group(name: str) -> str:
    """Threads whose names differ by a number alone do the same work: `sonosphere-clip-3` belongs to `clip`."""
    return re.sub(r"[-_]?\d+", "", name.removeprefix("sonosphere-")) or name


class PerThread(Generic[T]):
    """One object per thread, made by `make` at its first use. `fold(group, object)` takes what an ended thread leaves."""

    def __init__(self, make: Callable[[], T], fold: Callable[[str, T], None]) -> None:
        self._make, self._fold = make, fold
        self._local = threading.local()
        self._known: list[tuple[weakref.ref[threading.Thread], str, T]] = []
        self._most: Counter[str] = Counter()
        # re-entrant, because the collector may run a finalizer that measures while this thread already holds it
        self.lock = threading.RLock()

    def mine(self) -> T:
        """That of the calling thread."""
        try:
            return self._local.mine
        except AttributeError:
            return self._enter()

    def _enter(self) -> T:
        thread = threading.current_thread()
        made = self._make()
        with self.lock:
            self._forget()
            self._known.append((weakref.ref(thread), group(thread.name), made))
            alive = Counter(name for _, name, _ in self._known)
            self._most = self._most | alive  # the larger of the two, each
        self._local.mine = made
        return made

    def _forget(self) -> None:
        kept = []
        for known in self._known:
            thread = known[0]()
            if thread is not None and thread.is_alive():
                kept.append(known)
            else:
                self._fold(*known[1:])
        self._known = kept

    def every(self) -> list[tuple[str, T]]:
        """Group and object of every thread that lives."""
        with self.lock:
            self._forget()
            return [(name, made) for _, name, made in self._known]

    def most(self) -> dict[str, int]:
        """By group, how many threads lived at the same time at most."""
        with self.lock:
            return dict(self._most)
