"""Which faults pass, and how long to wait for them."""

import errno
import random
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_NUMBERS = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "EREMOTEIO", "ESTALE", "EAGAIN", "EBUSY", "EINTR", "ENOBUFS", "ENOMEM", "ENETDOWN", "ENETUNREACH", "ENETRESET"),
        *("EHOSTDOWN", "EHOSTUNREACH", "ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "EPIPE", "ETIMEDOUT", "ESHUTDOWN", "ENOTCONN"),
    )
    if hasattr(errno, name)
)
_STATUS = frozenset((408, 425, 429, 500, 502, 503, 504))  # RFC 9110, RFC 6585: the server asks to come again, or may recover
_KINDS = frozenset(  # of libraries that are not imported here: aiohttp, botocore, urllib3, requests, azure, google
    (
        *("ClientConnectionError", "ClientPayloadError", "ConnectionClosedError", "IncompleteReadError", "ResponseStreamingError"),
        *(
            "IncompleteRead",
            "ProtocolError",
            "ServiceRequestError",
            "ServiceResponseError",
            "TransportError",
            *("ChunkedEncodingError", "ConnectionError", "ReadTimeoutError", "ConnectTimeoutError", "ProxyConnectionError"),
        ),
    )
)


def status(error: BaseException) -> int:
    """The HTTP status that an error carries in the manner of its library; 0: none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    found = [str(getattr(error, name, None)) for name in ("status", "status_code", "code")]
    return next((int(text) for text in found if text.isdecimal()), 0)


def passing(error: BaseException) -> bool:
    """Whether the same request may succeed a little later: time-outs, broken connections, overload, and EIO and ESTALE of disks.

    What is not there, and what is forbidden, stays so.
    """
    for link in _links(error):
        if isinstance(link, (FileNotFoundError, PermissionError)) or status(link) in (401, 403, 404, 410):
            return False
        if isinstance(link, (TimeoutError, ConnectionError)) or status(link) in _STATUS:
            return True
        if isinstance(link, OSError) and link.errno in _NUMBERS:
            return True
        if _named(link, _KINDS):
            return True
    return False


def timed_out(error: BaseException) -> bool:
    """Whether it says that something took too long; the libraries agree on the word."""
    return any(isinstance(link, TimeoutError) or "Timeout" in type(link).__name__ for link in _links(error))


def unreachable(error: BaseException) -> bool:
    """Whether there was not even a connection: the host is unknown, or nobody listens there."""
    names = ("ClientConnectorError", "EndpointConnectionError", "gaierror")
    return any(isinstance(link, ConnectionRefusedError) or _named(link, names) for link in _links(error))


def _named(error: BaseException, names: Collection[str]) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _links(error: BaseException) -> Iterator[BaseException]:
    """An error and what has caused it: libraries wrap one another's errors."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


@dataclass(frozen=True)
class Patience:
    """How long one read is tried, seconds. deadline: over all attempts. first, longest: of the pauses between them."""

    deadline: float = 60.0
    first: float = 0.05
    longest: float = 5.0

    def pauses(self) -> Iterator[float]:
        """Growing by two, and each drawn from its upper half, so that a thousand readers do not come back at once."""
        pause = self.first
        while True:
            yield pause * random.uniform(0.5, 1.0)
            pause = min(2 * pause, self.longest)


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What trying has come to: a value, or the last error. seconds: that it took. final: trying again would not help."""

    value: T | None
    error: Exception | None
    attempts: int
    seconds: float
    final: bool = False

    def __str__(self) -> str:
        """How long was tried, for a message."""
        return f"{self.attempts} attempt{'s' if self.attempts > 1 else ''} in {self.seconds:.1f} s"


def persist(
    attempt: Callable[[float], T],
    patience: Patience,
    *,
    sleep: Callable[[float], object] = time.sleep,
    retried: Callable[[], None] = lambda: None,
    may_pass: Callable[[BaseException], bool] = passing,
) -> Outcome[T]:
    """Try until it succeeds, fails for good, or the deadline is over. It returns errors, so that who raises decides what they show.

    Args:
        attempt: gets the seconds that are left, and keeps to them.
        sleep: returns something true when there is no point in going on.
        retried: called before each further attempt.
    """
    begin, attempts = time.monotonic(), 0
    pauses = patience.pauses()
    failed: Exception | None = None
    while True:
        attempts += 1
        try:
            value = attempt(max(patience.deadline - (time.monotonic() - begin), 0.001))
            return Outcome(value, None, attempts, time.monotonic() - begin)
        except Exception as error:
            if failed is None or type(error) is not TimeoutError:  # that the deadline cut off the last one explains nothing
                failed = error
        seconds = time.monotonic() - begin
        if not may_pass(failed):
            return Outcome(None, failed, attempts, seconds, final=True)
        pause = next(pauses)
        if seconds + pause >= patience.deadline or sleep(pause):
            return Outcome(None, failed, attempts, time.monotonic() - begin)
        retried()
