"""What must be true of a source and an output before a build touches either, and of the source when it has been listed."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from dataio.format.folder import Folder, LocalFolder
from dataio.ingest.errors import SourceError, disk_failed
from dataio.ingest.sources import folder, images

MEDIA = (*folder.VIDEO, *folder.SOUND, ".m4a", *images.SUFFIXES, ".tar")
"""Suffixes of what some layout reads."""

_OPENING = ("images", "yt360")  # layouts that go by names alone, and would wait for ever for what a FIFO holds
_LOST = "lost+found"  # every disk has one, and only root may look into it
_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def check_apart(source: Path, out: Folder) -> None:
    """Raises SourceError if the output is the source, lies inside it, or holds it, by whatever links and mounts."""
    if not isinstance(out, LocalFolder):
        return
    resolved = out.path.resolve()
    if _same(resolved, source):
        raise SourceError(f"the output {out} is the source itself; choose another folder")
    if any(_same(parent, source) for parent in resolved.parents):
        raise SourceError(f"the output {out} lies inside the source {source}; choose a folder outside of it")
    if any(_same(parent, resolved) for parent in source.resolve().parents):
        raise SourceError(f"the output {out} holds the source {source}; choose another folder")


def _same(one: Path, other: Path) -> bool:
    """Whether both are there, and are the same folder."""
    try:
        return one.samefile(other)
    except FileNotFoundError:
        return False


def look_through(source: Path, layout: str) -> tuple[dict[str, str], str]:
    """Whether all media below `source` can be read, without opening any.

    Returns:
        what is no file although it is called like one (links to nothing, FIFOs, devices), and links to folders where the layout
        does not follow them, each with a sentence; and a digest of all names, by which a source is noticed that disappears while it
        is listed.

    Raises:
        SourceError: something is no file that the layout would open nevertheless.
        OSError: a folder or a file of media that may not be read. That is no fault of a recording: leaving it out would hide it.
    """
    odd: dict[str, str] = {}
    names = hashlib.sha256()
    for name, entry in _entries(source, ""):
        media = name.lower().endswith(MEDIA)
        if media:
            names.update(name.encode(errors="surrogateescape") + b"\0")
        try:
            kind = stat.S_IFREG if entry.is_file() else stat.S_IFMT(entry.stat().st_mode)
        except OSError as error:
            if disk_failed(error):
                raise OSError(f"the storage of the source failed: {entry.path} cannot be looked at: {error.strerror}") from error
            if media:
                missing = isinstance(error, FileNotFoundError)
                odd[name] = f"{name} is a link to nothing" if missing else f"{name} cannot be looked at: {error.strerror}"
            continue
        if kind == stat.S_IFDIR and layout == "folder":
            odd[name] = f"{name} is a link to a folder, which is not followed"
        elif media and kind in _KINDS:
            if layout in _OPENING:
                raise SourceError(f"{name} in {source} is no file but {_KINDS[kind]}; take it out of the source")
            odd[name] = f"{name} is no file but {_KINDS[kind]}"
        elif media and not os.access(entry.path, os.R_OK):
            raise PermissionError(f"{entry.path} may not be read by this user; make it readable, or take it out of the source")
    return odd, names.hexdigest()


def changed(source: Path, seen: Mapping[str, tuple[int, int]]) -> list[str]:
    """Names of the files that are there with another length or time (ns) than they were seen with: somebody writes to them."""
    found = []
    for name, facts in seen.items():
        try:
            now = (source / name).stat()
        except OSError:  # what has been read is not needed any more
            continue
        if (now.st_size, now.st_mtime_ns) != facts:
            found.append(name)
    return found


def _entries(folder: Path | str, below: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(name below the source, entry) of everything that is neither a folder nor hidden, in the order of the names."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise OSError(f"the source folder {folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            yield below + entry.name, entry
        elif entry.name != _LOST:
            yield from _entries(entry.path, f"{below}{entry.name}/")
