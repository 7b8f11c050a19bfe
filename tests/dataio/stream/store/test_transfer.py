"""A buffer belongs to one attempt at a time."""

import asyncio
import threading

import fsspec
import pytest

from dataio.stream.store.loop import Loop
from dataio.stream.store.transfer import Transfer


def test_what_has_come_stays_and_the_next_attempt_goes_on() -> None:
    buffer = bytearray(10)
    transfer = Transfer(memoryview(buffer), 100)
    first = transfer.begin()
    transfer.put(first, b"abc")
    assert (transfer.at, transfer.stop, transfer.done) == (103, 110, 3)
    second = transfer.begin()
    with pytest.raises(ConnectionAbortedError):
        transfer.put(first, b"late")
    transfer.put(second, b"defg")
    transfer.end()
    with pytest.raises(ConnectionAbortedError):
        transfer.put(second, b"hij")
    assert buffer == b"abcdefg\0\0\0"


def test_more_than_was_asked_for_is_refused() -> None:
    buffer = bytearray(3)
    transfer = Transfer(memoryview(buffer), 0)
    with pytest.raises(OSError, match="more than the 3 bytes that were asked for"):
        transfer.put(transfer.begin(), b"abcd")
    assert buffer == b"\0\0\0"


class TestLoop:
    @pytest.fixture
    def loop(self) -> Loop:
        return Loop(fsspec.filesystem("http"))

    def test_it_gives_what_the_coroutine_gives(self, loop: Loop) -> None:
        async def value() -> int:
            await asyncio.sleep(0)
            return 7

        assert loop.wait(value(), 5) == 7

    def test_what_takes_too_long_is_cancelled(self, loop: Loop) -> None:
        cancelled = threading.Event()

        async def hang() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        with pytest.raises(TimeoutError):
            loop.wait(hang(), 0.05)
        assert cancelled.wait(60)

    def test_closing_ends_what_is_under_way(self, loop: Loop) -> None:
        threading.Timer(0.05, loop.close).start()
        with pytest.raises(ConnectionAbortedError, match="the store was closed"):
            loop.wait(asyncio.sleep(60), 30)
        with pytest.raises(ConnectionAbortedError, match="the store was closed"):
            loop.wait(asyncio.sleep(0), 30)
        loop.close()
