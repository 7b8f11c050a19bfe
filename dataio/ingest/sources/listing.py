"""Finding the pictures of a source and the class of each, in folders and in tars, which are read by offset and never unpacked."""

import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from dataio.ingest.errors import disk_failed
from dataio.ingest.media.facts import reason
from dataio.ingest.sources.recording import Refused

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Names of folders, and words in the names of tars, and the split that they stand for."""

MOST_CLASSES = 100_000  # a larger number in a .cls is taken for damage

_LABEL_BYTES = 2**20  # of a .cls or .json; a longer one is none
_WORD = re.compile(r"(?<![a-z])(train|val|valid|validation|test)(?![a-z])")
_PACKED = (".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst")
_BROKEN = (tarfile.TarError, OSError, ValueError, LookupError, OverflowError, EOFError)  # what a damaged tar raises

Label = int | str
Entry = tuple[str, str, int, int]  # file below the root, member of the tar or "", offset, length: small, there may be millions


class Listing:
    """Finds the pictures of a source. entries: label → split (or None) → where they are, in the order of the names."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.entries: dict[Label, dict[str | None, list[Entry]]] = {}
        self._refused: dict[str, dict[str, tuple[int, str]]] = {}  # where → why → how many, and the first

    def refusals(self) -> list[Refused]:
        """One for each file or folder that has something wrong with it, in the order of the names."""
        result = []
        for where, whys in sorted(self._refused.items()):
            parts = [f"{why}{f' ({count} pictures, {first} the first)' if first else ''}" for why, (count, first) in whys.items()]
            result.append(Refused(where, f"{where}: {'; '.join(parts)}"))
        return result

    def scan(self) -> None:
        """Look through the whole source. Raises OSError where its storage fails: half of a set must not pass for all of it."""
        below = [entry for entry in self._entries("") if entry.is_dir()]
        named = [entry for entry in below if entry.name.lower() in SPLITS]
        # a class may be called train: as a split, it holds folders or tars, or all its neighbours are splits too
        divided = len(named) == len(below) or any(
            child.is_dir() or child.name.lower().endswith(".tar") for entry in named for child in self._entries(entry.name)
        )
        self._folder("", None, () if divided else below)
        for entry in below if divided else ():
            if entry in named:
                children = [child for child in self._entries(entry.name) if child.is_dir()]
                self._folder(entry.name, SPLITS[entry.name.lower()], children)
            elif any(child.name.lower().endswith((*SUFFIXES, ".tar")) for child in walk(Path(entry.path))):
                self._refuse(entry.name, f"a folder of pictures beside {named[0].name}, but no split ({', '.join(SPLITS)})")

    def _folder(self, folder: str, split: str | None, classes: Iterable[os.DirEntry[str]]) -> None:
        """A folder of class folders, of tars, or of both."""
        tars = []
        for entry in self._entries(folder):
            name, lower = _below(folder, entry.name), entry.name.lower()
            if lower.endswith(".tar"):
                tars.append(name)
            elif lower.endswith(_PACKED):
                self._refuse(name, "compressed, so that nothing in it can be read on its own: make it a plain .tar")
            elif lower.endswith(SUFFIXES) and not entry.is_dir():
                self._refuse(folder or ".", "pictures outside of class folders, which have no class", entry.name)
        words = {name: _word(name) for name in tars}
        telling = split is None and len(set(words.values()) - {None}) > 1
        for name in tars:
            self._tar(name, words[name] if telling else split)
        for entry in classes:
            self._class_folder(_below(folder, entry.name), entry.name, split)

    def _class_folder(self, folder: str, label: str, split: str | None) -> None:
        for entry in self._entries(folder):
            name, lower = _below(folder, entry.name), entry.name.lower()
            if entry.is_dir(follow_symlinks=False):
                self._class_folder(name, label, split)
            elif entry.is_dir():
                self._refuse(name, "a link to a folder, which is not followed below a class folder")
            elif lower.endswith(SUFFIXES):
                try:
                    self._add(label, split, (name, "", 0, entry.stat().st_size), folder)
                except OSError as error:
                    _raise_failure(error, name)
                    self._refuse(folder, f"cannot be read: {reason(error)}", entry.name)
            elif lower.endswith(".tar"):
                self._refuse(name, "a tar in a class folder")

    def _tar(self, file: str, split: str | None) -> None:
        try:
            with open(self._root / file, "rb") as stream:
                self._members(file, stream, "", 0, split)
        except _BROKEN as error:
            _raise_failure(error, file)
            self._refuse(file, f"cannot be read as a tar: {reason(error)}")

    def _members(self, file: str, stream: IO[bytes], inside: str, base: int, split: str | None) -> None:
        """Pictures of the tar in `stream`, which is `file`, or its member `inside`, whose content begins at byte `base`."""
        where = _below(file, inside) if inside else file
        pictures: list[tuple[str, int, int]] = []
        labels: dict[str, Label | None] = {}
        for tar, member in _members(stream):
            name = member.name.removeprefix("./")
            key, extension = _sample(name)
            if name.rpartition("/")[2].startswith("."):
                continue
            if name.lower().endswith(SUFFIXES):
                pictures.append((name, member.offset_data, member.size))
            elif extension in ("cls", "json"):
                label = _label(extension, _content(tar, member).read(_LABEL_BYTES))
                labels[key] = labels.get(key) if label is None else label
            elif extension == "tar" and not inside:
                self._members(file, _content(tar, member), name, member.offset_data, split)
        if not labels and pictures:
            folders = {name.rpartition("/")[0] for name, _, _ in pictures}
            if not inside and _word(file):
                return self._refuse(where, "pictures without .cls or .json, and its name tells a split and no class")
            if len(folders) > 1:
                return self._refuse(where, f"pictures in {len(folders)} folders, without .cls or .json: their class is unclear")
        single = where.rpartition("/")[2][: -len(".tar")]
        taken: set[str] = set()
        for name, offset, length in pictures:
            key, extension = _sample(name)
            label = labels.get(key) if labels else single
            if label is None or (labels and f".{extension}" not in SUFFIXES):
                self._refuse(where, 'pictures without a label (.cls: a number, .json: "label")', name)
            elif labels and key in taken:
                self._refuse(where, "more than one picture in a sample", name)
            else:
                taken.add(key)
                self._add(label, split, (file, _below(inside, name), base + offset, length), where)

    def _add(self, label: Label, split: str | None, entry: Entry, where: str) -> None:
        file, member, _, _ = entry
        if isinstance(label, int) and not 0 <= label < MOST_CLASSES:
            return self._refuse(where, f"class numbers outside 0 … {MOST_CLASSES - 1}", member)
        try:
            f"{file}{member}{label}".encode()
        except UnicodeEncodeError:
            return self._refuse(where, "names that are not valid UTF-8: rename them", member or file)
        self.entries.setdefault(label, {}).setdefault(split, []).append(entry)

    def _refuse(self, where: str, why: str, picture: str = "") -> None:
        where, picture = (text.encode("utf-8", "backslashreplace").decode() for text in (where, picture))
        count, first = self._refused.setdefault(where, {}).get(why, (0, picture))
        self._refused[where][why] = count + 1, first

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What lies in a folder, but for hidden files, in the order of the names."""
        try:
            with os.scandir(self._root / folder) as found:
                return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
        except OSError as error:
            _raise_failure(error, folder or str(self._root))
            self._refuse(folder or ".", f"cannot be read: {reason(error)}")
            return []


def _raise_failure(error: Exception, name: str) -> None:
    if disk_failed(error):
        raise OSError(f"the storage of the source failed: {name} cannot be read: {reason(error)}") from error


def _members(stream: IO[bytes]) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The plain files of a tar, in bounded memory. Raises what `_BROKEN` holds where it is damaged or breaks off."""
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        at = -1
        while (member := tar.next()) is not None:
            if tar.offset <= at or member.size < 0:
                raise tarfile.ReadError(f"the header at byte {member.offset} leads nowhere")
            at = tar.offset
            if member.isreg() and not member.issparse():
                yield tar, member
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes a damaged header for the end
            raise tarfile.ReadError(f"the header at byte {tar.offset} is damaged")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    assert content is not None  # it is a plain file
    return content


def _sample(name: str) -> tuple[str, str]:
    """WebDataset's key and extension of a member: parted at the first dot of the file name; the extension in small letters."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return folder + slash + stem, extension.lower()


def _label(extension: str, data: bytes) -> Label | None:
    try:
        if extension == "cls":
            return int(data.decode("ascii"))
        label = json.loads(data).get("label")
    except (ValueError, AttributeError, RecursionError):
        return None
    return label if isinstance(label, (int, str)) and not isinstance(label, bool) else None


def _word(tar: str) -> str | None:
    """The split that the name of a tar tells, if it does."""
    match = _WORD.search(tar.rpartition("/")[2].lower())
    return SPLITS[match[1]] if match else None


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder but what is hidden, in the order of the names; what may not be read is passed over.

    Raises:
        OSError: the storage failed.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        _raise_failure(error, str(folder))
        return
    for entry in entries:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from walk(Path(entry.path))
