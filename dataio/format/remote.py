"""A folder on any file system that fsspec knows."""

import inspect
import os
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from dataio.format.atomic import naming

BUCKETS = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "cos", "obs"))
"""Protocols of object stores: an object appears whole, there are no folders to make, and a folder's name may be a bucket's."""

_PART = 16 * 2**20  # bytes of a part of an upload
_PARTS = 10_000  # of one object, at most (S3)


@dataclass(frozen=True)
class RemoteFolder:
    """A folder behind an fsspec URL. Files are written on this machine first (in `TMPDIR`) and sent when they are whole.

    inside: names of the folders below the URL, each with a slash before it.

    Keys, endpoints and other options are not part of an object store's URL: they come from where its own library looks for them, in
    this process and in the workers alike, which inherit the environment. For S3 that is `AWS_ACCESS_KEY_ID` and
    `AWS_SECRET_ACCESS_KEY`, `AWS_PROFILE`, `AWS_ENDPOINT_URL` (for stores that are not Amazon's), files below `~/.aws`, or the role
    of the machine. fsspec adds options for every protocol: `FSSPEC_S3_ENDPOINT_URL=…`, `FSSPEC_S3='{"anon": true}'`, or files below
    `~/.config/fsspec` (https://filesystem-spec.readthedocs.io/en/latest/features.html#configuration). Each machine needs its own.

    Requests that fail for a passing reason are tried again by the storage's library (botocore and s3fs: up to five times each, with
    growing pauses; `AWS_MAX_ATTEMPTS`), not here. What is left is an OSError of one sentence.
    """

    url: str
    inside: str = ""

    def __str__(self) -> str:
        """Without user, password and query, which may be secrets."""
        head, _, rest = self.url.partition("://")
        user = self._user
        return f"{head}://{rest[len(user) :].partition('?')[0].rstrip('/')}{self.inside}"

    __repr__ = __str__

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url, "inside": self.inside}  # connections stay here

    @property
    def _protocol(self) -> str:
        return self.url.partition("://")[0]

    @property
    def _user(self) -> str:
        """`USER:PASSWORD@`, or nothing. A password may hold a slash, as keys of S3 do. Azure's containers stand there too."""
        rest = self.url.partition("://")[2].partition("?")[0]
        host = rest.partition("/")[0]
        if self._protocol in ("abfs", "abfss") and ":" not in host:
            return ""
        if "@" in host:
            return host[: host.rindex("@") + 1]
        return rest[: rest.rindex("@") + 1] if ":" in host and "@" in rest else ""

    @cached_property
    def _secrets(self) -> list[str]:
        """What no message may show, the longest first."""
        query = self.url.partition("?")[2]
        user = self._user.rstrip("@")
        parts = {user, *user.split(":"), query, *(value for _, value in urllib.parse.parse_qsl(query))}
        forms = {form for part in parts for form in (part, urllib.parse.unquote(part)) if len(form) > 2}  # "a" is no password
        return sorted(forms, key=lambda form: (-len(form), form))

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The file system, and the path there.

        Raises:
            ValueError: a URL that nothing can be written to, or that holds what is better kept elsewhere.
            RuntimeError: a package is missing.
        """
        bucket = self._protocol in BUCKETS
        if bucket and (self._user or "?" in self.url):
            raise ValueError(
                f"{self}: an address of an object store holds no keys and no query; give them in the environment or in the files "
                "of the storage's own library (for S3: AWS_ACCESS_KEY_ID and so on)"
            )
        if "::" in self._protocol:
            raise ValueError(f"{self}: chained addresses cannot be written to; allowed is protocol://path")
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            extra = "pip install 'sonosphere[s3]'" if self._protocol in ("s3", "s3a") else self._clean(error)
            raise RuntimeError(f"{self} needs a package that is not installed: {extra}") from error
        except ValueError as error:
            raise ValueError(f"{self} is no address to write to: {self._clean(error)}") from None
        except Exception as error:
            raise self._failed("reached", "", error) from None
        path = path.rstrip("/")
        if bucket and not path:
            raise ValueError(f"{self} names no bucket; allowed is {self._protocol}://bucket/folder")
        return system, path + self.inside

    def _clean(self, error: Exception) -> str:
        """What an error says, on one line and without secrets."""
        text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text

    def _failed(self, act: str, name: str, error: Exception) -> OSError:
        """One sentence, of the kinds that callers tell apart. The errors of botocore, aiohttp, paramiko, … are no OSErrors."""
        kind = next((k for k in (FileNotFoundError, PermissionError, TimeoutError) if isinstance(error, k)), OSError)
        reason = self._clean(error)
        if kind is FileNotFoundError and name and reason.endswith(f"/{name}"):  # all that it says is the path
            reason = "there is no such file"
        return kind(f"{self}{'/' if name else ''}{name} cannot be {act}: {reason}")

    @contextmanager
    def _asking(self, act: str, name: str = "") -> Iterator[tuple[Any, str]]:
        """The file system, and the path of a file, for one request whose errors are told in our words."""
        system, path = self._place
        path = f"{path}/{name}" if name else path
        try:
            system.invalidate_cache(path)  # others write here too: no listing is older than its question
            yield system, path
        except Exception as error:
            raise self._failed(act, name, error) from (None if self._secrets else error)

    def child(self, name: str) -> "RemoteFolder":
        return RemoteFolder(self.url, f"{self.inside}/{name}")

    def create(self) -> None:
        """In an object store there is nothing to do; a bucket is never made."""
        if self._protocol not in BUCKETS:
            with self._asking("made") as (system, path):
                system.makedirs(path, exist_ok=True)

    def exists(self) -> bool:
        return self._info("") is not None

    def names(self) -> list[str]:
        try:
            with self._asking("listed") as (system, path):
                found = [name.rstrip("/") for name in system.ls(path, detail=False)]
        except FileNotFoundError:
            return []
        return sorted({name.rpartition("/")[2] for name in found if name.strip("/") != path.strip("/")})  # some list it too

    def sizes(self) -> dict[str, int]:
        try:
            with self._asking("listed") as (system, path):
                found = system.ls(path, detail=True)
        except FileNotFoundError:
            return {}
        files = [entry for entry in found if entry["type"] == "file" and entry["name"].strip("/") != path.strip("/")]
        return dict(sorted((entry["name"].rpartition("/")[2], int(entry["size"])) for entry in files))

    def _info(self, name: str) -> dict[str, Any] | None:
        """One question about one file, however many there are."""
        try:
            with self._asking("looked up", name) as (system, path):
                return system.info(path)
        except FileNotFoundError:
            return None

    def has(self, name: str) -> bool:
        return self._info(name) is not None

    def size(self, name: str) -> int:
        with self._asking("looked up", name) as (system, path):
            return int(system.info(path)["size"])

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """One request. Bytes beyond the end of a file are an error of some stores, and none here."""
        if end is not None and end <= start:
            return b""  # an empty range asks some stores for the whole file
        try:
            with self._asking("read", name) as (system, path):
                return system.cat_file(path, **({"start": start, "end": end} if start or end is not None else {}))
        except FileNotFoundError:
            raise
        except OSError:
            if self.size(name) <= start:
                return b""
            raise

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        self._send(name, lambda system, path: system.pipe_file(path, data))

    @contextmanager
    def writing(self, name: str, *, durable: bool = True) -> Iterator[BinaryIO]:
        with naming(Path(tempfile.gettempdir()) / name), tempfile.TemporaryFile() as file:
            yield file  # type: ignore[misc]
            file.flush()
            here = f"/proc/self/fd/{file.fileno()}"  # it has no name, so that a worker that is killed leaves nothing behind
            part = max(_PART, -(-file.seek(0, os.SEEK_END) // _PARTS))
            limits = {"chunksize": part, "max_concurrency": 2}  # s3fs would hold ten parts of 50 MiB in memory

            def put(system: Any, path: str) -> None:
                known = inspect.signature(system.put_file).parameters
                system.put_file(here, path, **{key: value for key, value in limits.items() if key in known})

            self._send(name, put)

    def _send(self, name: str, put: Callable[[Any, str], None]) -> None:
        """An object appears whole. Elsewhere (sftp, smb, …) a temporary neighbour is sent, then renamed."""
        if self._protocol in BUCKETS:
            with self._asking("written", name) as (system, path):
                put(system, path)
            return
        temporary = f".{name}.{uuid4().hex}.tmp"  # two machines may have the same process number
        try:
            with self._asking("written", name) as (system, path):
                beside = path.removesuffix(name) + temporary
                put(system, beside)
                try:
                    system.mv(beside, path)
                except FileExistsError:  # some rename onto nothing only
                    system.rm_file(path)
                    system.mv(beside, path)
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), self._asking("removed", name) as (system, path):
            system.rm_file(path)

    def remove_many(self, names: Sequence[str]) -> None:
        """A store that knows it is asked to remove up to a thousand at once; some refuse names that are not there."""
        there = set(self.names()) if names else set()
        left = [name for name in names if name in there]
        if left and self._protocol in BUCKETS:
            try:
                with self._asking("emptied") as (system, path):
                    system.rm([f"{path}/{name}" for name in left])
                return
            except FileNotFoundError:  # another has removed one meanwhile: which of the rest are gone is not known
                pass
        for name in left:
            self.remove(name)

    def discard(self) -> None:
        # in an object store it would be the name of a bucket, if anything
        if self._protocol not in BUCKETS and not self.names():
            with suppress(FileNotFoundError), self._asking("removed") as (system, path):
                system.rmdir(path)
