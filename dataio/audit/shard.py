"""One shard: its three files against the manifest's row, and against each other."""

from pathlib import Path

import numpy as np

from dataio.audit.contents import layout, read
from dataio.audit.headers import against_tar
from dataio.audit.members import Sample, check_sample
from dataio.audit.report import Audit, Problem
from dataio.format import index, manifest
from dataio.format.table import FormatError
from dataio.format.writer import shard_pairs

_LONGEST = 2**30  # bytes of a clip's members that are held in memory to be decoded


def verify_shard(row: manifest.Shard, *, folder: Path, media: manifest.Media, deep: bool) -> Audit:
    """Check one shard; runs in a worker. Whatever its files hold, the result is an audit.

    Args:
        row: what the manifest says of it. media: of the set. deep: also decode every member.
    """
    name = row.name
    result = Audit(shards=1)
    problems = result.problems
    try:
        ours, dalis = (folder / f"{name}.npz").read_bytes(), (folder / f"{name}.idx").read_bytes()
    except OSError as error:
        problems.append(Problem(Path(error.filename or name).name, f"cannot be read: {error.strerror}"))
        return result
    for kind, data, crc in (("npz", ours, row.index_crc), ("idx", dalis, row.idx_crc)):
        if index.crc32c(np.frombuffer(data, np.uint8)) != crc:
            problems.append(Problem(f"{name}.{kind}", "does not match its checksum in the manifest"))
    try:
        entry = _index(ours, name)
    except FormatError as error:
        problems.append(Problem(f"{name}.npz", str(error)))
        entry = None
    try:
        _tar(folder / f"{name}.tar", row, entry, dalis, media if deep else None, result)
    except OSError as error:
        problems.append(Problem(f"{name}.tar", f"cannot be read: {error.strerror or error}"))
    return result


def _index(data: bytes, name: str) -> index.ShardIndex:
    """Raises FormatError, also for what only a forger would write."""
    try:
        entry = index.load(data, f"{name}.npz")
    except FormatError:
        raise
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise FormatError(f"{name}.npz: inconsistent index: {error}") from error
    if not all(isinstance(text, str) for text in (*entry.extensions, *entry.recordings)):
        raise FormatError(f"{name}.npz: extensions and recordings must be names")
    return entry


def _tar(
    path: Path, row: manifest.Shard, entry: index.ShardIndex | None, dalis: bytes, media: manifest.Media | None, result: Audit
) -> None:
    """The tar, and what the index says of it. media: for a deep check, or None."""
    problems, name = result.problems, row.name
    unfit = []
    if entry is not None:
        result.clips, result.members = len(entry), len(entry.members["clip"])
        if (entry.name, len(entry), entry.recordings) != (name, row.clips, row.recordings):
            problems.append(Problem(f"{name}.npz", "name, clips or recordings are not those of the manifest"))
        elif shard_pairs(entry) != row.pairs:
            problems.append(Problem(f"{name}.npz", f"every clip has the pairs {shard_pairs(entry)}, the manifest says {row.pairs}"))
        unfit = layout(entry, path.stat().st_size)
        problems += unfit
    usable = None if unfit else entry
    samples = _Samples(row, usable, media, result) if usable is not None and media else None
    checksums = usable is not None and usable.checksums
    crc, size, wrong = read(path, usable, checksums, samples.add if samples else None)
    result.bytes = size
    if size != row.bytes:
        problems.append(Problem(f"{name}.tar", f"has {size} bytes instead of {row.bytes}"))
    elif crc != row.crc and (row.crc or entry is None or entry.checksums):
        problems.append(Problem(f"{name}.tar", "does not match its checksum in the manifest"))
    problems += wrong
    if samples:
        samples.end()
    if usable is not None:
        result.unchecked += not checksums
        problems += against_tar(path, usable)
        if _dali(usable) != dalis:
            problems.append(Problem(f"{name}.idx", "is not DALI's index of this tar"))


def _dali(entry: index.ShardIndex) -> bytes:
    """DALI's index of the same content."""
    m = entry.members
    columns = (m[column].tolist() for column in ("clip", "extension", "offset", "length"))
    members: list[list[index.Member]] = [[] for _ in range(len(entry))]
    for clip, extension, offset, length in zip(*columns, strict=True):
        members[clip].append(index.Member(entry.extensions[extension], offset, length, 0))
    keys = (key.decode(errors="backslashreplace") for key in entry.clips["key"].tolist())
    clips = [index.Clip(key, "", 0.0, tuple(each)) for key, each in zip(keys, members, strict=True)]
    return index.dali_idx(clips).encode(errors="backslashreplace")


class _Samples:
    """Collects the members of a clip as they are read, and checks them when it is whole."""

    def __init__(self, row: manifest.Shard, entry: index.ShardIndex, media: manifest.Media, result: Audit) -> None:
        self._row, self._entry, self._media, self._result = row, entry, media, result
        self._clip, self._files, self._facts, self._size = -1, {}, {}, 0  # type: ignore[var-annotated]

    def add(self, member: int, data: bytes | None) -> None:
        """data: None for a member too long to be held."""
        m, entry = self._entry.members, self._entry
        if m["clip"][member] != self._clip:
            self.end()
            self._clip, self._size = int(m["clip"][member]), 0
        extension = entry.extensions[m["extension"][member]]
        self._size += int(m["length"][member])
        if data is None or self._size > _LONGEST:
            key = entry.clips["key"][self._clip].decode(errors="backslashreplace")
            what = f"a clip of more than {_LONGEST} bytes is not decoded"
            self._result.problems.append(Problem(f"{self._row.name}.tar", what, f"{key}.{extension}"))
            return
        names = ("height", "width", "rate", "channels", "samples", "data", "frames")
        self._files[extension] = data
        self._facts[extension] = index.Facts(*(int(m[name][member]) for name in names))

    def end(self) -> None:
        """Check what has been collected."""
        if self._files and self._size <= _LONGEST:
            clips = self._entry.clips
            key = clips["key"][self._clip].decode(errors="backslashreplace")
            recording = self._entry.recordings[clips["recording"][self._clip]]
            start = float(clips["start"][self._clip])
            sample = Sample(key, recording, start, self._row.split, self._files, self._facts)
            file = f"{self._row.name}.tar"
            for extension, what in check_sample(sample, self._media, self._result.count_level):
                self._result.problems.append(Problem(file, what, f"{key}.{extension}"))
        self._files, self._facts = {}, {}
