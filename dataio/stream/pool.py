"""A fixed number of threads that work through a queue of tasks, and that nobody has to wait for when one of them hangs.

`concurrent.futures` joins its threads when the interpreter ends, so a read that never returns (a dead network file system) would
keep the process alive for ever. These are daemons: `close` waits for those that are able to end.
"""

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import RLock, Thread, current_thread
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
        self._names = [f"{name}-{i}" for i in range(threads)]
        self._threads: list[Thread] = []
        self._starting = RLock()

    def __len__(self) -> int:
        return len(self._names)

    def _start(self) -> None:
        """With the first task: who makes a pool and fails with what comes after leaves no thread."""
        with self._starting:
            for name in self._names[len(self._threads) :]:
                thread = Thread(target=_work, args=(self._tasks,), name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    @property
    def waiting(self) -> int:
        """Tasks that no thread has begun."""
        return self._tasks.qsize()

    def submit(self, work: Work, task: Callable[[], None]) -> None:
        if self._closed:
            work.fail(ClosedError("the loader was closed"))
        else:
            if len(self._threads) < len(self._names):
                self._start()
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
            if thread is not current_thread():  # the collector may run here and finalize the loader
                thread.join(max(0.0, deadline - time.monotonic()))


def _work(tasks: "SimpleQueue[Task | None]") -> None:
    while (task := tasks.get()) is not None:
        work, run = task
        try:
            run()
        except BaseException as error:  # it belongs to whoever waits for the work
            work.fail(error)
        del task, work, run  # or the thread would keep the last batch alive until the next task
