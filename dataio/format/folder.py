"""A folder that files are published into: on this machine, or on any file system that fsspec knows (`s3://bucket/set`).

What both promise: a file appears under its name with its whole content, or not at all. Locally that is a temporary neighbour,
synced and renamed; an object store does it by itself. Folders can be sent to other processes and machines.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from dataio.format import atomic


class Folder(Protocol):
    """Flat: names hold no slash. Errors of the storage are OSError."""

    def __str__(self) -> str: ...

    def child(self, name: str) -> "Folder":
        """A folder inside this one."""

    def create(self) -> None:
        """Make it if it is not there."""

    def exists(self) -> bool: ...

    def names(self) -> list[str]:
        """Everything in it, sorted; nothing where there is no folder."""

    def sizes(self) -> dict[str, int]:
        """The length of every file in it, by name, sorted; one question, however many there are."""

    def has(self, name: str) -> bool: ...

    def size(self, name: str) -> int: ...

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes [start, end) of a file, as many as it has."""

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Publish a small file; `durable`: so that it outlives a power cut."""

    def writing(self, name: str, *, durable: bool = True) -> Any:
        """A context manager that gives a file to write to; it is published when the block ends without an error."""

    def remove(self, name: str) -> None:
        """Gone afterwards, whether it was there or not."""

    def remove_many(self, names: Sequence[str]) -> None:
        """All of them, in this order where it is done one by one; in a few requests where the storage knows how."""

    def discard(self) -> None:
        """Remove the folder if it is empty; what somebody has put into it stays, and so does the folder then."""


@dataclass(frozen=True)
class LocalFolder:
    """A folder on this machine. Temporary files are called `.NAME.PID.tmp`."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def child(self, name: str) -> "LocalFolder":
        return LocalFolder(self.path / name)

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def exists(self) -> bool:
        return self.path.is_dir()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []

    def sizes(self) -> dict[str, int]:
        if not self.path.is_dir():
            return {}
        with os.scandir(self.path) as entries:
            return {entry.name: entry.stat().st_size for entry in sorted(entries, key=lambda e: e.name) if entry.is_file()}

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def size(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        with open(self.path / name, "rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else max(0, end - start))

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        with atomic.naming(self.path / name):
            atomic.write_file(self.path / name, data, durable=durable)

    @contextmanager
    def writing(self, name: str, *, durable: bool = True) -> Iterator[BinaryIO]:
        temporary = self.path / f".{name}.{os.getpid()}.tmp"
        try:
            with atomic.naming(self.path / name), open(temporary, "wb") as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, self.path / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            atomic.sync_folder(self.path)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def remove_many(self, names: Sequence[str]) -> None:
        for name in names:
            self.remove(name)

    def discard(self) -> None:
        try:
            self.path.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise


def folder(place: str | Path) -> Folder:
    """The folder at a path, or at a URL such as `s3://bucket/set`; `file://` is a path."""
    text = str(place)
    for protocol in ("file://", "local://"):
        if text.startswith(protocol):
            return LocalFolder(Path(text.removeprefix(protocol)))
    if "://" not in text:
        return LocalFolder(Path(place))
    from dataio.format.remote import RemoteFolder

    return RemoteFolder(text)
