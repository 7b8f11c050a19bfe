"""Which faults are waited for, and for how long."""

import errno
import itertools
import socket
import time

import aiohttp
import botocore.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from dataio.stream.store.retry import Patience, passing, persist, timed_out, unreachable


def wrapped(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def client_error(status: int) -> Exception:
    return botocore.exceptions.ClientError({"Error": {}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")


def answered(status: int) -> Exception:
    info = aiohttp.RequestInfo(URL("http://host/x"), "GET", CIMultiDictProxy(CIMultiDict()), URL("http://host/x"))
    return aiohttp.ClientResponseError(info, (), status=status)


PASSING = [
    *(OSError(number, "") for number in (errno.EIO, errno.ESTALE, errno.ECONNRESET, errno.EBUSY, errno.ENETUNREACH)),
    *(TimeoutError(), ConnectionResetError(), ConnectionRefusedError()),
    *(answered(status) for status in (408, 429, 500, 502, 503, 504)),
    *(client_error(status) for status in (500, 503)),
    *(aiohttp.ServerDisconnectedError(), aiohttp.ClientPayloadError(), aiohttp.ServerTimeoutError()),
    botocore.exceptions.ReadTimeoutError(endpoint_url="x"),
    botocore.exceptions.EndpointConnectionError(endpoint_url="x"),
    botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    wrapped(OSError("translated"), client_error(503)),
]
LASTING = [
    *(FileNotFoundError(), PermissionError(), IsADirectoryError(errno.EISDIR, ""), OSError("?"), OSError(errno.ENOSPC, "")),
    *(ValueError(), KeyError("x"), MemoryError()),
    *(answered(status) for status in (400, 401, 403, 404, 416)),
    *(client_error(status) for status in (301, 403, 404)),
    wrapped(FileNotFoundError(), client_error(503)),
    wrapped(OSError("translated"), client_error(403)),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_these_pass(error: Exception) -> None:
    assert passing(error)
    assert passing(wrapped(RuntimeError("of a library"), error))


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
def test_these_do_not(error: Exception) -> None:
    assert not passing(error)


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert not passing(first)


READ, CONNECT = botocore.exceptions.ReadTimeoutError, botocore.exceptions.EndpointConnectionError


@pytest.mark.parametrize("error", [TimeoutError(), READ(endpoint_url="x"), wrapped(OSError(), aiohttp.ServerTimeoutError())])
def test_time_outs_are_known(error: Exception) -> None:
    assert timed_out(error) and not unreachable(error)


@pytest.mark.parametrize("error", [ConnectionRefusedError(), wrapped(OSError(), socket.gaierror()), CONNECT(endpoint_url="x")])
def test_hosts_that_cannot_be_reached_are_known(error: Exception) -> None:
    assert unreachable(error) and not timed_out(error)


@given(first=st.floats(0.001, 1), longest=st.floats(1, 100))
def test_pauses_grow_and_stay_below_the_longest(first: float, longest: float) -> None:
    pauses = list(itertools.islice(Patience(1, first, longest).pauses(), 20))
    bounds = [min(first * 2**k, longest) for k in range(20)]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))


def test_it_succeeds_as_soon_as_it_can() -> None:
    faults = iter([OSError(errno.EIO, ""), TimeoutError()])
    retries = []

    def attempt(left: float) -> str:
        assert 0 < left <= 10
        if (fault := next(faults, None)) is not None:
            raise fault
        return "value"

    outcome = persist(attempt, Patience(10, first=0.001), retried=lambda: retries.append(1))
    assert (outcome.value, outcome.error, outcome.attempts, len(retries)) == ("value", None, 3, 2)


def test_what_lasts_ends_it_at_once() -> None:
    def attempt(_: float) -> None:
        raise FileNotFoundError

    outcome = persist(attempt, Patience(10))
    assert isinstance(outcome.error, FileNotFoundError) and outcome.final and outcome.attempts == 1


def test_it_keeps_to_the_deadline() -> None:
    lefts = []

    def attempt(left: float) -> None:
        lefts.append(left)
        raise TimeoutError

    begin = time.monotonic()
    outcome = persist(attempt, Patience(0.3, first=0.02))
    assert time.monotonic() - begin < 120
    assert isinstance(outcome.error, TimeoutError) and not outcome.final and outcome.attempts == len(lefts) > 2
    assert lefts == sorted(lefts, reverse=True) and lefts[0] <= 0.3
    assert str(outcome) == f"{len(lefts)} attempts in {outcome.seconds:.1f} s"


def test_a_sleep_that_is_cut_off_ends_it() -> None:
    def attempt(_: float) -> None:
        raise TimeoutError

    assert persist(attempt, Patience(60), sleep=lambda _: True).attempts == 1


def test_an_interrupt_is_no_fault_of_the_storage() -> None:
    def attempt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        persist(attempt, Patience(60))
