"""The thread that keeps batches ready, over the ends of epochs, and never more than asked."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from dataio.stream.batch import Batch, Batcher, Job
from dataio.stream.meter import Meter
from dataio.stream.order.steps import Step
from dataio.stream.supply import Pick

Planned = tuple[Step, Sequence[Pick]]


class _StopError(Exception):
    """Somebody asked the thread to end."""


class Producer:
    """Holds at most `prefetch` finished batches, and as many under way as the batcher wants.

    It knows nothing of the loader, so that a loader which is forgotten can be collected.

    Args:
        planned: steps with the clips of this rank, in order; it may be endless.
        check: called a few times a second while the thread waits for clips; it raises when a read hangs.
    """

    def __init__(
        self, batcher: Batcher, planned: Iterator[Planned], prefetch: int, meter: Meter, check: Callable[[], None]
    ) -> None:
        self._ready: queue.Queue[tuple[Step, Batch] | BaseException | None] = queue.Queue(prefetch)
        self._stopping = threading.Event()
        self._batcher, self._meter, self._check = batcher, meter, check
        self._thread = threading.Thread(target=self._run, args=(planned,), name="sonosphere-producer", daemon=True)
        self._thread.start()

    def _run(self, planned: Iterator[Planned]) -> None:
        under_way: deque[Job] = deque()
        try:
            for step, picks in planned:
                under_way.append(self._batcher.start(step, picks))
                if len(under_way) == self._batcher.ahead:
                    self._finish(under_way)
            while under_way:
                self._finish(under_way)
            self._put(None)
        except _StopError:
            pass
        except BaseException as error:  # it belongs to whoever iterates
            self._quietly_put(error)
        finally:
            for job in under_way:  # nobody wants them any more, so their tasks need not be done
                job.fail(_StopError())

    def _finish(self, under_way: deque[Job]) -> None:
        job = under_way[0]
        batch = self._batcher.finish(job, self._check_both)
        under_way.popleft()
        self._meter.queues(self._batcher.queues())  # not before: just after the next batch was started, there is always something
        self._put((job.step, batch))

    def _check_both(self) -> None:
        if self._stopping.is_set():
            raise _StopError
        self._check()

    def _put(self, item: tuple[Step, Batch] | BaseException | None) -> None:
        while not self._stopping.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue
        raise _StopError

    def _quietly_put(self, error: BaseException) -> None:
        with suppress(_StopError):
            self._put(error)

    def get(self) -> tuple[Step, Batch] | None:
        """The next batch, or None after the last. Raises what went wrong in the thread."""
        asked, ready = time.perf_counter(), self._ready.qsize()
        while True:
            try:
                item = self._ready.get(timeout=0.25)
                break
            except queue.Empty:  # whoever closes the loader from another thread, or in a signal handler, leaves nobody waiting
                if self._stopping.is_set():
                    raise RuntimeError("this loader was closed while it was being iterated") from None
        if isinstance(item, BaseException):
            raise item
        if item is not None:
            self._meter.delivered(len(item[1]["clip"]), ready / self._ready.maxsize, asked)
        return item

    def stop(self, patience: float = 10.0) -> None:
        """Have the thread end after what it is doing; nothing of it is left behind, unless a read hangs."""
        self._stopping.set()
        if threading.current_thread() is self._thread:  # the collector may run here and finalize the loader
            return
        deadline = time.monotonic() + patience
        while self._thread.is_alive() and time.monotonic() < deadline:
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join(max(0.0, deadline - time.monotonic()))
