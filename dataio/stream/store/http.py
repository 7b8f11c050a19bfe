"""Ranges over HTTP (RFC 9110, section 14), bytes as they come."""

import re
import urllib.parse
from typing import Any

from dataio.stream.store.loop import Loop
from dataio.stream.store.transfer import EndsError, Transfer


class AnswerError(OSError):
    """What a server says instead of the bytes. status: of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the server answers {status} {text}")
        self.status = status


class HttpSource:
    """Files beside each other on a web server, which need not list them.

    fsspec's own file system takes whatever length an answer has, and reads it before it looks at the status; here only its
    connections are used.
    """

    def __init__(self, system: Any, url: str) -> None:
        base, mark, query = url.partition("?")
        self._system, self._base, self._query = system, base.rstrip("/"), mark + query
        self._loop = Loop(system)

    def whole(self, name: str, left: float) -> bytes:
        return self._loop.wait(self._whole(name), left)

    def fill(self, name: str, transfer: Transfer, left: float) -> None:
        self._loop.wait(self._fill(name, transfer, transfer.begin()), left)

    def close(self) -> None:
        self._loop.close()

    async def _whole(self, name: str) -> bytes:
        async with await self._get(name, {}) as answer:
            if answer.status != 200:
                raise _refusal(answer)
            return await answer.read()

    async def _fill(self, name: str, transfer: Transfer, attempt: int) -> None:
        at, stop = transfer.at, transfer.stop
        async with await self._get(name, {"Range": f"bytes={at}-{stop - 1}"}) as answer:
            total = _total(answer, at, stop)
            async for data in answer.content.iter_any():
                transfer.put(attempt, data)
        if transfer.done < transfer.size:
            if total is not None and transfer.at >= total:
                raise EndsError(total)
            raise ConnectionResetError(f"the connection was closed after {transfer.at - at} of {stop - at} bytes")

    async def _get(self, name: str, headers: dict[str, str]) -> Any:
        session = await self._system.set_session()
        options = dict(self._system.kwargs)
        # compressed bytes would not be those of the file
        options["headers"] = {**options.get("headers", {}), "Accept-Encoding": "identity", **headers}
        url = f"{self._base}/{urllib.parse.quote(name)}{self._query}"
        return session.get(self._system.encode_url(url), **options)


def _total(answer: Any, at: int, stop: int) -> int | None:
    """Length of the whole file, where an answer to a request for [at, stop) tells it.

    Raises:
        EndsError: the file ends before. OSError: other bytes than were asked for, or none.
    """
    told = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    total = int(told[3]) if told and told[3] != "*" else None
    if answer.status == 416 and total is not None and total < stop:
        raise EndsError(total)
    if answer.status == 200:
        length = answer.content_length
        if at == 0 and length is not None and length <= stop:  # all of it: a range is a wish
            return length
        raise AnswerError(200, f"with the whole file to a request for bytes {at} to {stop - 1}: it does not know ranges")
    if answer.status != 206:
        raise _refusal(answer)
    if told is None or told[1] is None or int(told[1]) != at:
        raise AnswerError(206, f"with other bytes than {at} to {stop - 1}")
    return total


def _refusal(answer: Any) -> OSError:
    if answer.status in (404, 410):
        return FileNotFoundError(f"the server answers {answer.status}")
    return AnswerError(answer.status, answer.reason or "")
