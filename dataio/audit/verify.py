"""Is a shard set right? Tar, DALI's index, ours and the manifest are read whole and held against each other."""

import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from dataio.audit.members import check_clip
from dataio.audit.report import Audit, Problem
from dataio.format import index, manifest
from dataio.format.table import FormatError
from dataio.ingest.executors import Executor

_SET_FILES = {manifest.FILE, "build.json"}


def verify(
    folder: Path, executor: Executor, *, deep: bool = False, on_shard: Callable[[int, int], None] = lambda done, total: None
) -> Audit:
    """Check a whole set; shards in parallel.

    Args:
        deep: also decode every member.
        on_shard: told (shards done, shards in all).

    Raises:
        FileNotFoundError: there is no finished set.
    """
    result = Audit()
    try:
        found = manifest.load(folder)
    except FormatError as error:
        result.problems.append(Problem(manifest.FILE, str(error)))
        return result
    if found.dump() != (folder / manifest.FILE).read_bytes():
        result.problems.append(Problem(manifest.FILE, "its bytes are not those that its content would be written as"))
    result.problems += _whole_set(folder, found)
    check = partial(verify_shard, folder=folder, found=found, deep=deep)
    for done, part in enumerate(executor.map(check, range(len(found))), 1):
        result.add(part)
        on_shard(done, len(found))
    return result


def _whole_set(folder: Path, found: manifest.Manifest) -> list[Problem]:
    """What no single shard shows: names given twice, a recording in two splits, files that nobody names."""
    problems = []
    names = [found.name(shard) for shard in range(len(found))]
    if len(set(names)) < len(names):
        problems.append(Problem(manifest.FILE, "names a shard twice"))
    split_of: dict[int, int] = {}
    for shard in range(len(found)):
        split = int(found.shards["split"][shard])
        for recording in found.shard_recordings(shard).tolist():
            if split_of.setdefault(recording, split) != split:
                problems.append(Problem(manifest.FILE, f"recording {found.recordings[recording].decode()} is in two splits"))
    expected = _SET_FILES | {f"{name}.{kind}" for name in names for kind in ("tar", "idx", "npz")}
    problems += [Problem(path.name, "is not part of the set") for path in sorted(folder.iterdir()) if path.name not in expected]
    return problems


def verify_shard(shard: int, *, folder: Path, found: manifest.Manifest, deep: bool) -> Audit:
    """Check one shard: its three files against the manifest, and against each other."""
    name = found.name(shard)
    result = Audit(shards=1)
    row = {column: int(found.shards[column][shard]) for column in ("clips", "bytes", "crc", "index_crc", "idx_crc")}
    try:
        ours, dalis = (folder / f"{name}.npz").read_bytes(), (folder / f"{name}.idx").read_bytes()
        size, crc = _checksum(folder / f"{name}.tar")
    except OSError as error:
        result.problems.append(Problem(Path(error.filename or name).name, f"cannot be read: {error.strerror}"))
        return result
    result.bytes = size
    for kind, data in (("npz", ours), ("idx", dalis)):
        if index.crc32c(np.frombuffer(data, np.uint8)) != row["index_crc" if kind == "npz" else "idx_crc"]:
            result.problems.append(Problem(f"{name}.{kind}", "does not match its checksum in the manifest"))
    if (size, crc) != (row["bytes"], row["crc"]):
        what = (
            f"has {size} bytes instead of {row['bytes']}" if size != row["bytes"] else "does not match its checksum in the manifest"
        )
        result.problems.append(Problem(f"{name}.tar", what))
    try:
        entry = index.load(ours, f"{name}.npz")
    except FormatError as error:
        result.problems.append(Problem(f"{name}.npz", str(error)))
        return result
    result.clips, result.members = len(entry), len(entry.members["clip"])
    if entry.name != name or len(entry) != row["clips"] or _slugs(found, shard) != list(entry.recordings):
        result.problems.append(Problem(f"{name}.npz", "name, clips or recordings are not those of the manifest"))
    result.problems += _against_tar(folder / f"{name}.tar", entry, dalis, found.media if deep else None)
    return result


def _slugs(found: manifest.Manifest, shard: int) -> list[str]:
    return [found.recordings[i].decode() for i in found.shard_recordings(shard)]


def _checksum(path: Path) -> tuple[int, int]:
    """Length and CRC-32C of a file, a mebibyte at a time."""
    import google_crc32c

    crc, size = google_crc32c.Checksum(), 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            crc.update(chunk)
            size += len(chunk)
    return size, int.from_bytes(crc.digest(), "big")


def _against_tar(path: Path, entry: index.ShardIndex, dalis: bytes, media: manifest.Media | None) -> list[Problem]:
    """Every member where the index says, under the name it says, with its checksums; DALI's index of the same content."""
    problems: list[Problem] = []
    seen: list[index.Clip] = []
    m = entry.members
    try:
        with tarfile.open(path, "r:") as tar, open(path, "rb") as raw:
            members = iter(tar)
            for clip, key in enumerate(entry.clips["key"]):
                files: dict[str, bytes] = {}
                placed = []
                for i in np.flatnonzero(m["clip"] == clip):
                    extension, offset, length = entry.extensions[m["extension"][i]], int(m["offset"][i]), int(m["length"][i])
                    member = f"{key.decode()}.{extension}"
                    header = next(members, None)
                    if header is None or (header.name, header.offset_data, header.size) != (member, offset, length):
                        there = f"{header.name} at {header.offset_data}" if header else "its end"
                        problems.append(Problem(path.name, f"the index has this member here, the tar has {there}", member, offset))
                        return problems
                    raw.seek(offset)
                    data = files[extension] = raw.read(length)
                    if index.crc32c(np.frombuffer(data, np.uint8)) != m["crc"][i]:
                        problems.append(Problem(path.name, "does not match its checksum", member, offset))
                    problems += [Problem(path.name, what, member, at) for at, what in _blocks(entry, int(i), data)]
                    placed.append(index.Member(extension, offset, length, int(m["crc"][i])))
                if media is not None:
                    problems += [Problem(path.name, what, f"{key.decode()}.{kind}") for kind, what in check_clip(files, media)]
                seen.append(index.Clip(key.decode(), entry.recordings[entry.clips["recording"][clip]], 0.0, tuple(placed)))
            if (extra := next(members, None)) is not None:
                problems.append(Problem(path.name, "is not in the index", extra.name, extra.offset_data))
    except (tarfile.TarError, OSError) as error:
        problems.append(Problem(path.name, f"is no readable tar: {error}"))
        return problems
    if index.dali_idx(seen).encode() != dalis:
        problems.append(Problem(path.with_suffix(".idx").name, "is not DALI's index of this tar"))
    return problems


def _blocks(entry: index.ShardIndex, member: int, data: bytes) -> list[tuple[int, str]]:
    first = int(entry.members["block"][member])
    if first < 0:
        return []
    offset = int(entry.members["offset"][member])
    found = index.block_checksums(data)
    return [
        (offset + i * index.BLOCK, f"block {i} does not match its checksum")
        for i, crc in enumerate(found)
        if crc != int(entry.block_crc[first + i])
    ]
