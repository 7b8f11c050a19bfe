"""The index of one shard: for every member its offset, length, checksum and media facts; for PCM a checksum per block.

A reader never parses the tar. It looks up a row here, reads exactly those bytes, and can prove that they are the right ones: whole
members by their CRC-32C, windows of PCM by the CRC-32C of each 64 KiB block they touch.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import google_crc32c
import numpy as np

from dataio.format import table

KIND, VERSION = "sonosphere-index", 2
BLOCK = 64 * 1024  # bytes of a member under one CRC-32C; a ranged read is widened to whole blocks

_SPLITS = re.compile("[ \\t\\n\\v\\f\\r]")

_MEMBER_COLUMNS = {
    "clip": "i",
    "extension": "i",
    "offset": "i",
    "length": "i",
    "crc": "u",
    "height": "i",
    "width": "i",
    "rate": "i",
    "channels": "i",
    "samples": "i",
    "data": "i",
    "frames": "i",
    "block": "i",
}
_WIDE = {"offset": np.int64, "length": np.int64, "samples": np.int64, "crc": np.uint32}
MEMBER_TYPES = {column: np.dtype(_WIDE.get(column, np.int32)) for column in _MEMBER_COLUMNS}
"""Columns of `members`, in order, and their dtypes."""

_CLIP_COLUMNS = {"key": "S", "recording": "i", "start": "f"}


@dataclass(frozen=True)
class Facts:
    """What a reader must know of a member before reading it; zero where it does not apply.

    height, width: pixels. rate: Hz. channels, samples: of the sound, samples per channel. data: byte of the member where PCM
    begins. frames: pictures in a video container.
    """

    height: int = 0
    width: int = 0
    rate: int = 0
    channels: int = 0
    samples: int = 0
    data: int = 0
    frames: int = 0


@dataclass(frozen=True)
class Member:
    """One file of a clip inside a tar. offset: of its first byte in the tar. blocks: CRC-32C of each 64 KiB, for PCM only."""

    extension: str
    offset: int
    length: int
    crc: int
    facts: Facts = Facts()
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Clip:
    """One sample of a shard. key: of its members, before the first dot. recording: slug. start: seconds of the recording."""

    key: str
    recording: str
    start: float
    members: tuple[Member, ...]


def crc32c(data: bytes | np.ndarray) -> int:
    """CRC-32C (Castagnoli) of these bytes; it releases the GIL and runs at memory speed."""
    return google_crc32c.value(data)


def block_checksums(data: bytes | memoryview | np.ndarray) -> tuple[int, ...]:
    """CRC-32C of every 64 KiB of a member; the last block may be shorter."""
    view = np.frombuffer(data, np.uint8)
    return tuple(crc32c(view[at : at + BLOCK]) for at in range(0, len(data), BLOCK))


@dataclass(frozen=True)
class ShardIndex:
    """The index of one shard, as columns.

    name: of the tar. tar_bytes: its length. recordings: slugs, in order of first appearance. extensions: member kinds.
    checksums: whether the checksums were computed (they are zero in an index that was made from the tar's headers alone).
    clips: key, recording (row of `recordings`), start. members: one row a member, in the order of the tar.
    block_crc: checksums of all PCM blocks; a member's begin at its `block` (−1: none).
    row: (clips, extensions) int32, the member row of each clip and extension, −1 where the clip has none.
    """

    name: str
    tar_bytes: int
    recordings: tuple[str, ...]
    extensions: tuple[str, ...]
    checksums: bool
    clips: dict[str, np.ndarray]
    members: dict[str, np.ndarray]
    block_crc: np.ndarray
    row: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.clips["key"])

    def column(self, extension: str) -> np.ndarray:
        """Member row of every clip for this extension, (clips,) int32; −1 where a clip has no such member."""
        if extension not in self.extensions:
            return np.full(len(self), -1, np.int32)
        return self.row[:, self.extensions.index(extension)]

    def dump(self) -> bytes:
        head = {
            "format": KIND,
            "version": VERSION,
            "shard": self.name,
            "bytes": self.tar_bytes,
            "recordings": list(self.recordings),
            "extensions": list(self.extensions),
            "checksums": self.checksums,
        }
        columns = {f"clip.{k}": v for k, v in self.clips.items()} | {f"member.{k}": v for k, v in self.members.items()}
        return table.dump(head, columns | {"block_crc": self.block_crc})


def _rows(clip: np.ndarray, extension: np.ndarray, clips: int, extensions: int) -> np.ndarray:
    row = np.full((clips, extensions), -1, np.int32)
    row[clip, extension] = np.arange(len(clip), dtype=np.int32)
    return row


def build(name: str, tar_bytes: int, clips: Sequence[Clip]) -> ShardIndex:
    """The index of a tar of this name and length that holds these clips in this order."""
    recordings = tuple(dict.fromkeys(clip.recording for clip in clips))
    extensions = tuple(sorted({member.extension for clip in clips for member in clip.members}))
    number = {slug: i for i, slug in enumerate(recordings)}
    kind = {extension: i for i, extension in enumerate(extensions)}
    rows: dict[str, list[int]] = {column: [] for column in _MEMBER_COLUMNS}
    blocks: list[int] = []
    for i, clip in enumerate(clips):
        for member in clip.members:
            facts = member.facts
            place = (i, kind[member.extension], member.offset, member.length, member.crc)
            media = (facts.height, facts.width, facts.rate, facts.channels, facts.samples, facts.data, facts.frames)
            values = (*place, *media, len(blocks) if member.blocks else -1)
            for column, value in zip(rows, values, strict=True):
                rows[column].append(value)
            blocks += member.blocks
    columns = {
        "key": np.array([clip.key.encode() for clip in clips], "S"),
        "recording": np.array([number[clip.recording] for clip in clips], np.int32),
        "start": np.array([clip.start for clip in clips], np.float64),
    }
    members = {column: np.array(values, MEMBER_TYPES[column]) for column, values in rows.items()}
    return from_columns(name, tar_bytes, recordings, extensions, True, columns, members, np.array(blocks, np.uint32))


def from_columns(
    name: str,
    tar_bytes: int,
    recordings: tuple[str, ...],
    extensions: tuple[str, ...],
    checksums: bool,
    clips: dict[str, np.ndarray],
    members: dict[str, np.ndarray],
    block_crc: np.ndarray,
) -> ShardIndex:
    """The index whose columns are known already, `members` with the dtypes of MEMBER_TYPES; it numbers the rows of each clip."""
    row = _rows(members["clip"], members["extension"], len(clips["key"]), len(extensions))
    return ShardIndex(name, tar_bytes, recordings, extensions, checksums, clips, members, block_crc, row)


def load(data: bytes | Path, name: str) -> ShardIndex:
    """Read an index back.

    Raises:
        table.FormatError: damaged or foreign; the message names it.
        FileNotFoundError: nothing there.
    """
    head, columns = table.load(data, name, KIND, VERSION)
    clips = table.take({k[5:]: v for k, v in columns.items() if k.startswith("clip.")}, name, _CLIP_COLUMNS)
    members = table.take({k[7:]: v for k, v in columns.items() if k.startswith("member.")}, name, _MEMBER_COLUMNS)
    block_crc = table.take(columns, name, {"block_crc": "u"})["block_crc"]
    try:
        table.check_range(members["clip"], name, "member.clip", 0, len(clips["key"]))
        table.check_range(members["extension"], name, "member.extension", 0, len(head["extensions"]))
        table.check_range(clips["recording"], name, "clip.recording", 0, len(head["recordings"]))
        table.check_range(members["offset"], name, "member.offset", 0, int(head["bytes"]) + 1)
        table.check_range(members["length"], name, "member.length", 0, int(head["bytes"]) + 1)
        table.check_range(members["block"], name, "member.block", -1, len(block_crc))
        row = _rows(members["clip"], members["extension"], len(clips["key"]), len(head["extensions"]))
        return ShardIndex(
            name=str(head["shard"]),
            tar_bytes=int(head["bytes"]),
            recordings=tuple(head["recordings"]),
            extensions=tuple(head["extensions"]),
            checksums=bool(head["checksums"]),
            clips=clips,
            members=members,
            block_crc=block_crc,
            row=row,
        )
    except (KeyError, TypeError) as error:
        raise table.FormatError(f"{name}: inconsistent index: {error}") from error


def dali_idx(clips: Sequence[Clip]) -> str:
    """The same offsets in DALI's own text format, v1.2: a head, then per clip `extension offset size name` of each member.

    DALI splits at white space, and only shows the name in messages: white space in a name becomes `%20` and the like.
    """
    lines = [f"v1.2 {len(clips)}"]
    for clip in clips:
        parts = (f"{_word(m.extension)} {m.offset} {m.length} {_word(f'{clip.key}.{m.extension}')}" for m in clip.members)
        lines.append(" ".join(parts))
    return "\n".join(lines) + "\n"


def _word(text: str) -> str:
    """Without the bytes at which DALI splits."""
    return _SPLITS.sub(lambda match: f"%{ord(match[0]):02X}", text)
