"""A fixed number of threads that work through a queue of tasks, and that nobody has to wait for when one of them hangs.

`concurrent.futures` joins its threads when the interpreter ends, so a read that never returns (a dead network file system) would
keep the process alive for ever. These are daemons: `close` waits for those that are able to end.
"""

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol


class Work(Protocol):
    """What the tasks of a pool are part of; it must hear of every one that will not be done."""

    def fail(self, error: BaseException) -> None: ...


class ClosedError(RuntimeError):
    """The pool was closed before this task had its turn."""


Task = tuple[Work, Callable[[], None]]


class Pool:
    """`threads` daemon threads. A task that raises fails the work it belongs to; the thread goes on."""

    def __init__(self, threads: int, name: str) -> None:
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._closed = False
        # the threads know the queue alone, so that a pool which is forgotten can be collected
        self._threads = [Thread(target=_work, args=(self._tasks,), name=f"{name}-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        return len(self._threads)

    @property
    def waiting(self) -> int:
        """Tasks that no thread has begun."""
        return self._tasks.qsize()

    def submit(self, work: Work, task: Callable[[], None]) -> None:
        if self._closed:
            work.fail(ClosedError("the loader was closed"))
        else:
            self._tasks.put((work, task))

    def close(self, patience: float = 5.0) -> None:
        """Fail what waits, and give the threads `patience` seconds to finish what they are doing."""
        self._closed = True
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                break
            if task is not None:
                task[0].fail(ClosedError("the loader was closed"))
        for _ in self._threads:
            self._tasks.put(None)
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _work(tasks: "SimpleQueue[Task | None]") -> None:
    while (task := tasks.get()) is not None:
        work, run = task
        try:
            run()
        except BaseException as error:  # it belongs to whoever waits for the work
            work.fail(error)
        del task, work, run  # or the thread would keep the last batch alive until the next task
