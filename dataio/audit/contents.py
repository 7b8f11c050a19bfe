"""Every byte of a tar, read once from front to back, against the checksums of its members, their blocks and the whole file."""

from collections.abc import Callable
from io import FileIO
from pathlib import Path

import google_crc32c
import numpy as np

from dataio.audit.report import Problem
from dataio.format import index

CHUNK = 16 * index.BLOCK  # bytes read at a time: whole blocks, and small enough to be still in cache when they are summed again
LONGEST = 2**30  # bytes of a member that is held in memory
_TAR = 512  # bytes to which members of a tar are aligned
_MOST = 20  # faults of one kind that are listed


def member_name(entry: index.ShardIndex, member: int) -> str:
    """The name of a member in the tar."""
    key = entry.clips["key"][entry.members["clip"][member]].decode(errors="backslashreplace")
    return f"{key}.{entry.extensions[entry.members['extension'][member]]}"


def layout(entry: index.ShardIndex, size: int) -> list[Problem]:
    """What an index says that no tar of `size` bytes can hold; nothing is read, and nothing may be if there is something wrong."""
    m = entry.members
    file = f"{entry.name}.npz"
    offset, length, clip = (m[column].astype(np.int64) for column in ("offset", "length", "clip"))
    end = offset + length
    blocks = np.where(m["block"] >= 0, m["block"].astype(np.int64) + -(-length // index.BLOCK), 0)
    before = np.concatenate([[0], end[:-1]]) if len(end) else end
    cells = clip * max(1, len(entry.extensions)) + m["extension"]
    order = np.argsort(cells, kind="stable")
    twice = np.zeros(len(cells), bool)
    twice[order[1:]] = cells[order[1:]] == cells[order[:-1]]
    faults = (
        ("ends behind the end of the tar", (offset > size) | (length > size - offset)),  # their sum may not fit 64 bits
        ("begins at a byte where no member of a tar can", offset % _TAR != 0),
        ("overlaps the member or the header before it", offset < before + -before % _TAR + _TAR),
        ("lies before a member of an earlier clip", np.diff(clip, prepend=0) < 0),
        ("has block checksums that the index does not hold", blocks > len(entry.block_crc)),
        ("begins its sound behind its end", (m["data"] < 0) | (m["data"] > length)),
        ("is there twice in its clip", twice),
    )
    problems = []
    for what, wrong in faults:
        rows = np.flatnonzero(wrong).tolist()
        problems += [Problem(file, what, member_name(entry, row), int(offset[row])) for row in rows[:_MOST]]
        if len(rows) > _MOST:
            problems.append(Problem(file, f"{len(rows) - _MOST} more: {what}"))
    if len(np.unique(clip)) != len(entry):
        problems.append(Problem(file, "holds a clip without members"))
    if entry.tar_bytes != size:
        problems.append(Problem(file, f"is of a tar of {entry.tar_bytes} bytes, this one has {size}"))
    return problems


def read(
    path: Path, entry: index.ShardIndex | None, checksums: bool, on_member: Callable[[int, bytes | None], None] | None
) -> tuple[int, int, list[Problem]]:
    """Read a tar to its end, whatever is wrong in it.

    Args:
        entry: its index, which has a sound layout; None if it has not.
        checksums: whether the index holds any.
        on_member: told (row of the index, bytes) of every member; None for the bytes of one that is too long to be held.

    Returns:
        CRC-32C and length of the file, and the members and blocks that do not match their checksums.
    """
    problems: list[Problem] = []
    with open(path, "rb", buffering=0) as raw:
        file = _Summed(raw)
        for row in range(len(entry.members["clip"]) if entry else 0):
            assert entry is not None
            offset, length = int(entry.members["offset"][row]), int(entry.members["length"][row])
            file.skip(offset - file.at)
            first = int(entry.members["block"][row])
            crc, kept, wrong = 0, [], []
            hold = on_member is not None and length <= LONGEST
            for at in range(0, length, CHUNK):
                data = file.read(min(CHUNK, length - at))
                if checksums:
                    crc = google_crc32c.extend(crc, data)
                    if first >= 0:
                        wrong += _blocks(entry.block_crc, first, at // index.BLOCK, data)
                if hold:
                    kept.append(data.tobytes())
            if checksums and crc != int(entry.members["crc"][row]):
                problems.append(Problem(path.name, "does not match its checksum", member_name(entry, row), offset))
            problems += [
                Problem(path.name, f"block {i} does not match its checksum", member_name(entry, row), offset + i * index.BLOCK)
                for i in wrong
            ]
            if on_member is not None:
                on_member(row, b"".join(kept) if hold else None)
        file.skip(None)
    return file.crc, file.at, problems


def _blocks(expected: np.ndarray, first: int, begin: int, data: np.ndarray) -> list[int]:
    """Numbers of the blocks of a piece of a member that differ. begin: number of the first of the piece."""
    return [begin + i for i, crc in enumerate(index.block_checksums(data)) if crc != int(expected[first + begin + i])]


class _Summed:
    """A file that keeps the CRC-32C of all that was read from it. at: bytes so far."""

    def __init__(self, file: FileIO) -> None:
        self._file, self.crc, self.at = file, 0, 0
        self._buffer = np.empty(CHUNK, np.uint8)

    def read(self, count: int) -> np.ndarray:
        """Up to `count` bytes, no more than CHUNK, as uint8; valid until the next call. Fewer only at the end of the file."""
        got = 0
        while got < count and (more := self._file.readinto(self._buffer[got:count].data)):
            got += more
        data = self._buffer[:got]
        self.crc = google_crc32c.extend(self.crc, data)
        self.at += got
        return data

    def skip(self, count: int | None) -> None:
        """Read so many bytes, or all that is left; stops at the end of the file."""
        while count is None or count > 0:
            data = self.read(CHUNK if count is None else min(CHUNK, count))
            if not len(data):
                return
            count = None if count is None else count - len(data)
