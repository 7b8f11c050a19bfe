"""Waiting in threads for what an event loop does."""

import asyncio
import concurrent.futures
from collections.abc import Coroutine
from contextlib import suppress
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")


class Loop:
    """Coroutines of an fsspec file system, waited for from many threads at once."""

    def __init__(self, system: Any) -> None:
        self._system = system
        self._lock = Lock()
        self._under_way: set[concurrent.futures.Future[Any]] = set()
        self._closed = False

    def wait(self, coroutine: Coroutine[Any, Any, T], left: float) -> T:
        """Its result.

        Raises:
            TimeoutError: it has taken longer than `left` seconds, and is cancelled. ConnectionAbortedError: closed meanwhile.
            What the coroutine raises.
        """
        with self._lock:
            if self._closed:
                coroutine.close()
                raise ConnectionAbortedError("the store was closed")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._system.loop)
            self._under_way.add(future)
        try:
            return future.result(left)
        except concurrent.futures.CancelledError:
            raise ConnectionAbortedError("the store was closed") from None
        finally:
            future.cancel()  # which closes its connection: an answer that nobody has read must not meet the next request
            with self._lock:
                self._under_way.discard(future)

    def close(self) -> None:
        """Cancel what is under way, and close the connections."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            under_way = list(self._under_way)
        for future in under_way:
            future.cancel()
        session = getattr(self._system, "_session", None) or getattr(self._system, "_s3", None)
        if session is not None and hasattr(self._system, "close_session"):
            with suppress(Exception):  # it is done with, whatever it says
                self._system.close_session(self._system.loop, session)
