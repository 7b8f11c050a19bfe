"""Running on this machine: in the calling process, or in processes of their own."""

import concurrent.futures
import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from dataio.ingest.executors.executor import Executor, WorkerDiedError

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _Calling(concurrent.futures.Executor):
    """A call is over when `submit` returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Inline(Executor):
    """In the calling process, one after another."""

    slots = 1

    @contextmanager
    def session(self) -> Iterator[concurrent.futures.Executor]:
        yield _Calling()


class _Pool(ProcessPoolExecutor):
    """Workers begin with Ctrl-C blocked: it also reaches them, and while they are still importing they would print where."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _ctrl_c_later():
            return super().submit(fn, *args, **kwargs)


class LocalPool(Executor):
    """Spawned processes on this machine, each single-threaded. They end with the process that started them, however that ends."""

    def __init__(self, workers: int) -> None:
        self.slots = workers

    @contextmanager
    def session(self) -> Iterator[concurrent.futures.Executor]:
        context = multiprocessing.get_context("spawn")
        pool = _Pool(self.slots, mp_context=context, initializer=_begin, initargs=(os.getpid(),))
        before = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(ONE_THREAD)  # inherited by the workers: libraries read it when they are loaded
        try:
            yield pool
        except BaseException as error:
            # nobody waits for the rest of an hour-long recording; and a pool that breaks while its workers are being started
            # overlooks the last of them, and would wait for it for ever
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.terminate()
            # a call that was being handed over when the pool broke fails with what its pipe says
            if isinstance(error, BrokenProcessPool) or (isinstance(error, OSError) and getattr(pool, "_broken", False)):
                raise WorkerDiedError("a worker process died: it was killed, ran out of memory, or crashed") from error
            raise
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
            pool.shutdown(cancel_futures=True)


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Ctrl-C takes effect at the end of the block; processes that are started in it never get it."""
    pressed: list[int] = []
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not None
    handler = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number)) if ours else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of this thread, and inherited; others may still take it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if ours:
            signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def _begin(parent: int) -> None:
    """In a new worker: die with the parent, even when it is killed, so that no orphan goes on writing; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):  # no Linux; its orphans end at their next task
        return
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def local(workers: int) -> Executor:
    """Raises ValueError for fewer than one worker."""
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    return Inline() if workers == 1 else LocalPool(workers)
