"""Files behind an fsspec URL: one request at a time, which never lasts longer than it may."""

from typing import Any, Protocol

from dataio.format.remote import BUCKETS
from dataio.stream.store.address import Address
from dataio.stream.store.loop import Loop
from dataio.stream.store.retry import passing
from dataio.stream.store.transfer import EndsError, Transfer

_CONNECT = 10.0  # seconds to reach a server
_IDLE = 15.0  # seconds without a byte, after which another connection is tried; a slow one that goes on is left alone
_CONNECTIONS = 128  # at most; a reader has one request under way, and botocore's default of ten would make the others wait
_HTTP, _S3 = ("http", "https"), ("s3", "s3a")


class Source(Protocol):
    """The files of a set. Errors are those of the libraries; whether trying again may help is for `retry.passing` to say."""

    def whole(self, name: str, left: float) -> bytes:
        """All of a small file, within `left` seconds."""

    def fill(self, name: str, transfer: Transfer, left: float) -> None:
        """The rest of a transfer, within `left` seconds. Raises EndsError where the file ends before."""

    def close(self) -> None:
        """End all requests."""


class AsyncSource:
    """A file system that fsspec drives by asyncio. patient: its requests watch for progress, and may last as long as the read."""

    def __init__(self, system: Any, path: str, patient: bool) -> None:
        self._system, self._path, self._patient = system, path, patient
        self._loop = Loop(system)

    def whole(self, name: str, left: float) -> bytes:
        return self._loop.wait(self._system._cat_file(f"{self._path}/{name}"), self._limit(left))

    def fill(self, name: str, transfer: Transfer, left: float) -> None:
        self._loop.wait(self._fill(f"{self._path}/{name}", transfer, transfer.begin()), self._limit(left))

    async def _fill(self, path: str, transfer: Transfer, attempt: int) -> None:
        failed: Exception | None = None
        try:
            transfer.put(attempt, await self._system._cat_file(path, start=transfer.at, end=transfer.stop))
        except Exception as error:
            if not _may_be_the_end(error):
                raise
            failed = error
        if transfer.done < transfer.size:
            self._system.invalidate_cache(path)
            _judge((await self._system._info(path))["size"], transfer, failed)

    def _limit(self, left: float) -> float:
        return left if self._patient else max(left / 2, min(left, _IDLE))

    def close(self) -> None:
        self._loop.close()


class PlainSource:
    """A file system that blocks its thread (`file://`, `memory://`, …); a request of it that hangs cannot be ended."""

    def __init__(self, system: Any, path: str) -> None:
        self._system, self._path = system, path

    def whole(self, name: str, left: float) -> bytes:
        return self._system.cat_file(f"{self._path}/{name}")

    def fill(self, name: str, transfer: Transfer, left: float) -> None:
        path, attempt, failed = f"{self._path}/{name}", transfer.begin(), None
        try:
            transfer.put(attempt, self._system.cat_file(path, start=transfer.at, end=transfer.stop))
        except Exception as error:
            if not _may_be_the_end(error):
                raise
            failed = error
        if transfer.done < transfer.size:
            self._system.invalidate_cache(path)
            _judge(self._system.info(path)["size"], transfer, failed)

    def close(self) -> None:
        pass


def _may_be_the_end(error: Exception) -> bool:
    """Some storages refuse a range that begins behind the end, each in its own words."""
    return (
        isinstance(error, (OSError, ValueError))
        and not isinstance(error, (FileNotFoundError, PermissionError))
        and not passing(error)
    )


def _judge(size: int, transfer: Transfer, failed: Exception | None) -> None:
    """Raise the reason why a range did not come whole from a file of this size."""
    if int(size) < transfer.stop:
        raise EndsError(int(size))
    raise failed or ConnectionResetError(f"{transfer.done} of {transfer.size} bytes came")


def open_source(address: Address, deadline: float) -> Source:
    """The file system of an address, with connections of its own.

    deadline: of a read, seconds; the time-outs of single requests are shorter.

    Raises:
        ValueError: it cannot be read from. RuntimeError: a package is missing.
    """
    protocol = address.url.partition("://")[0]
    if "::" in protocol:
        raise ValueError(f"{address} is a chain of addresses; allowed is protocol://path")
    if protocol in BUCKETS and (address._user or "?" in address.url):
        raise ValueError(
            f"{address}: an address of an object store holds no keys and no query; give them in the environment or in the files "
            "of the storage's own library (for S3: AWS_ACCESS_KEY_ID and so on)"
        )
    try:
        import fsspec

        options = _options(protocol, deadline, fsspec.config.conf)
        system, path = fsspec.core.url_to_fs(address.url, skip_instance_cache=True, use_listings_cache=False, **options)
    except Exception as error:
        failed = error
    else:
        return _wrapped(system, path.rstrip("/"), protocol, address)
    reason = address.clean(failed)  # and nothing else of the error, which may show what is secret
    if isinstance(failed, ImportError):
        extra = "pip install 'sonosphere[s3]'" if protocol in _S3 else reason
        raise RuntimeError(f"{address} needs a package that is not installed: {extra}")
    raise ValueError(f"{address} is no address to read from: {reason}")


def _wrapped(system: Any, path: str, protocol: str, address: Address) -> Source:
    if protocol in BUCKETS and not path:
        raise ValueError(f"{address} names no bucket; allowed is {protocol}://bucket/folder")
    if protocol in _HTTP:
        from dataio.stream.store.http import HttpSource

        return HttpSource(system, path)
    if protocol in _S3:
        system.retries = 1  # those of s3fs do not know the deadline
    if getattr(system, "async_impl", False):
        return AsyncSource(system, path, patient=protocol in _S3)
    return PlainSource(system, path)


def _options(protocol: str, deadline: float, configured: dict[str, Any]) -> dict[str, Any]:
    """Time-outs that watch for progress, and no repetitions but ours; what the user has configured takes precedence."""
    connect, idle = min(_CONNECT, deadline / 2), min(_IDLE, deadline / 2)
    theirs = configured.get(protocol, {})
    if protocol in _HTTP:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=idle)
        return {"client_kwargs": {"timeout": timeout} | theirs.get("client_kwargs", {})}
    if protocol in _S3:
        ours = {"connect_timeout": connect, "read_timeout": idle, "max_pool_connections": _CONNECTIONS}
        once = {"retries": {"total_max_attempts": 1}}
        return {"config_kwargs": ours | once | theirs.get("config_kwargs", {})}
    return {}
