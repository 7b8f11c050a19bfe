"""A pool whose tasks may hang, raise, or never have their turn."""

import gc
import threading
import weakref

from dataio.stream.pool import ClosedError, Pool


class Heard:
    """Work that remembers what it was told."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)


def test_every_task_is_done_and_one_that_raises_fails_its_work_alone():
    pool, done, work, other = Pool(3, "sonosphere-test"), threading.Semaphore(0), Heard(), Heard()

    def bad() -> None:
        raise ValueError("no")

    pool.submit(other, bad)
    for _ in range(50):
        pool.submit(work, done.release)
    for _ in range(50):
        assert done.acquire(timeout=300)
    pool.close()
    assert work.errors == [] and [str(error) for error in other.errors] == ["no"]


def test_what_waits_is_failed_when_the_pool_closes():
    pool, started, release = Pool(1, "sonosphere-test"), threading.Event(), threading.Event()
    running, waiting, late = Heard(), Heard(), Heard()

    def hang() -> None:
        started.set()
        release.wait()

    pool.submit(running, hang)
    assert started.wait(300)
    pool.submit(waiting, hang)
    assert pool.waiting == 1
    pool.close(patience=0.0)  # the hanging one is left to itself
    assert isinstance(waiting.errors[0], ClosedError) and running.errors == []
    pool.submit(late, hang)
    assert isinstance(late.errors[0], ClosedError)
    release.set()
    pool.close()


def test_a_thread_keeps_nothing_alive_that_it_has_done():
    class Large:
        pass

    pool, done = Pool(1, "sonosphere-test"), threading.Event()
    large = Large()
    gone = weakref.ref(large)

    def use(thing: Large = large) -> None:
        pass

    pool.submit(Heard(), use)
    pool.submit(Heard(), done.set)
    assert done.wait(300)
    del large, use
    gc.collect()
    assert gone() is None
    pool.close()
