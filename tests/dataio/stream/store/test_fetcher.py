"""Working ahead: soonest first, each once, and ended promptly."""

import gc
import threading
import time
import weakref
from collections.abc import Callable

from dataio.stream.store.fetcher import Fetcher


class Owner:
    """Notes what it is asked to do; `gate` holds it up."""

    def __init__(self, threads: int = 1) -> None:
        self.begun: list[int] = []
        self.done: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.refuse: set[int] = set()
        self.fetcher = Fetcher(weakref.WeakMethod(self.work), threads)
        weakref.finalize(self, self.fetcher.close)

    def work(self, shard: int) -> bool:
        self.begun.append(shard)
        self.gate.wait(300)
        self.done.append(shard)
        if shard < 0:
            raise OSError("the storage failed")
        return shard not in self.refuse

    def wait(self, done: list[int]) -> None:
        _until(lambda: self.done == done)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def running() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("sonosphere-fetch"))


def test_soonest_first_and_each_once() -> None:
    owner = Owner()
    assert running() == []
    owner.fetcher.expect([5, 2, 9])
    owner.wait([5, 2, 9])
    owner.fetcher.expect([2, 9, 7])
    owner.wait([5, 2, 9, 7])
    owner.fetcher.expect([5])  # it was forgotten meanwhile
    owner.wait([5, 2, 9, 7, 5])
    assert running() == ["sonosphere-fetch-0"]
    owner.fetcher.close()
    assert running() == []
    owner.fetcher.expect([1])
    assert running() == []


def test_what_is_no_longer_expected_is_left_out() -> None:
    owner = Owner()
    owner.gate.clear()
    owner.fetcher.expect([1, 2, 3, 4])
    _until(lambda: owner.begun == [1])
    owner.fetcher.expect([4, 5])
    owner.gate.set()
    owner.wait([1, 4, 5])
    owner.fetcher.close()


def test_what_must_wait_or_failed_is_tried_with_the_next_expectation() -> None:
    owner = Owner()
    owner.refuse = {2}
    owner.fetcher.expect([-1, 2, 3])
    owner.wait([-1, 2, 3])
    time.sleep(0.05)
    assert owner.done == [-1, 2, 3]
    owner.refuse = set()
    owner.fetcher.expect([-1, 2, 3])
    owner.wait([-1, 2, 3, -1, 2])
    owner.fetcher.again(3)
    owner.wait([-1, 2, 3, -1, 2, 3])
    owner.fetcher.close()


def test_threads_are_bounded_and_a_stuck_one_is_left_to_itself() -> None:
    owner = Owner(threads=2)
    owner.gate.clear()
    owner.fetcher.expect(range(10))
    _until(lambda: len(owner.begun) == 2)
    assert running() == ["sonosphere-fetch-0", "sonosphere-fetch-1"]
    begin = time.monotonic()
    owner.fetcher.close(patience=0.1)
    assert time.monotonic() - begin < 120  # not at the end of a transfer, which hangs
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("sonosphere-fetch"))
    owner.gate.set()
    _until(lambda: not running())
    assert len(owner.done) == 2


def test_an_owner_that_is_forgotten_is_collected_and_its_threads_end() -> None:
    owner = Owner(threads=2)
    owner.fetcher.expect([1, 2])
    gone = weakref.ref(owner)
    del owner
    _until(lambda: not gc.collect() and gone() is None and not running())
