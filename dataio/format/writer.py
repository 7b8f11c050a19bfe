"""Writing one shard: clips as USTAR members, with the two indexes beside the tar, published together."""

import struct
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import BinaryIO

import google_crc32c
import numpy as np

from dataio.format import index
from dataio.format.clip import PAIRS, pair_extension
from dataio.format.folder import Folder
from dataio.format.manifest import Shard

Buffer = bytes | memoryview

HEADER = 512  # bytes of a USTAR header; every name here is short enough for exactly one
WAV_HEADER = 44  # bytes before the PCM


@dataclass(frozen=True)
class Segment:
    """A clip as it stands in a tar. clip: member offsets count from the segment's first byte. parts: headers, members, padding, one
    after the other, in as many pieces as they come in. size: of all of them, in bytes.
    """

    clip: index.Clip
    parts: tuple[Buffer, ...]
    size: int

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)


class SegmentWriter:
    """Collects the members of one clip. They lie in the tar in the order in which they are added."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._parts: list[Buffer] = []
        self._length = 0
        self._members: list[index.Member] = []

    def add(self, extension: str, data: Buffer, facts: index.Facts = index.Facts(), blocks: tuple[int, ...] = ()) -> None:
        """Raises ValueError for a name that does not fit a USTAR header."""
        crc = index.crc32c(np.frombuffer(data, np.uint8))
        header = _header(f"{self._key}.{extension}", len(data))
        padding = bytes(-len(data) % tarfile.BLOCKSIZE)
        self._members.append(index.Member(extension, self._length + HEADER, len(data), crc, facts, blocks))
        self._parts += (header, data, padding)
        self._length += HEADER + len(data) + len(padding)

    def pcm(self, extension: str, pcm: np.ndarray, rate: int) -> None:
        """Add a sound, (samples, channels) int16, as WAV with a checksum for every 64 KiB."""
        samples, channels = pcm.shape
        size = 2 * channels * samples
        head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt "
        head += struct.pack("<IHHIIHH", 16, 1, channels, rate, 2 * channels * rate, 2 * channels, 16) + b"data"
        data = np.empty(WAV_HEADER + size, np.uint8)  # filled in place: passes over memory are what sound costs
        data[:WAV_HEADER] = np.frombuffer(head + struct.pack("<I", size), np.uint8)
        data[WAV_HEADER:].view("<i2").reshape(pcm.shape)[:] = pcm
        facts = index.Facts(rate=rate, channels=channels, samples=samples, data=WAV_HEADER)
        self.add(extension, data.data, facts, index.block_checksums(data.data))

    def finish(self, recording: str, start: float) -> Segment:
        """The clip's segment. recording: slug. start: seconds of the recording."""
        return Segment(index.Clip(self._key, recording, start, tuple(self._members)), tuple(self._parts), self._length)


def _header(name: str, length: int) -> bytes:
    info = tarfile.TarInfo(name)  # owner 0, no clock: the same input gives the same bytes
    info.size, info.mode = length, 0o644
    header = info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    if len(header) != HEADER:
        raise ValueError(f"member name {name} does not fit a USTAR header")
    return header


def moved(clip: index.Clip, by: int) -> index.Clip:
    """The same clip, so many bytes further on."""
    return replace(clip, members=tuple(replace(member, offset=member.offset + by) for member in clip.members))


class _Checked:
    """A file that keeps the CRC-32C of all that was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.crc, self.length = file, 0, 0

    def write(self, data: Buffer) -> None:
        self.crc = google_crc32c.extend(self.crc, np.frombuffer(data, np.uint8))
        self.length += len(data)
        self.file.write(data)


def write_shard(folder: Folder, name: str, split: str, segments: Iterable[Segment]) -> Shard:
    """Write `name`.tar, .idx (DALI's) and .npz (ours) into `folder`.

    Each appears whole or not at all, the tar last; nothing reads them before a manifest names them.

    Returns:
        the shard's row for the manifest.

    Raises:
        OSError: disk full, not writable, …; no file of the shard is left behind.
    """
    clips: list[index.Clip] = []
    try:
        with folder.writing(f"{name}.tar") as raw:
            out = _Checked(raw)
            for segment in segments:
                clips.append(moved(segment.clip, out.length))
                for part in segment.parts:
                    out.write(part)
            end = 2 * tarfile.BLOCKSIZE  # two empty blocks end an archive; tools expect it padded to a whole record
            out.write(bytes(end + -(out.length + end) % tarfile.RECORDSIZE))
            shard_index = index.build(name, out.length, clips)
            ours, dalis = shard_index.dump(), index.dali_idx(clips).encode()
            folder.write(f"{name}.npz", ours)
            folder.write(f"{name}.idx", dalis)
    except BaseException:
        for leftover in (f"{name}.npz", f"{name}.idx"):
            folder.remove(leftover)
        raise
    return Shard(
        name=name,
        clips=len(clips),
        bytes=out.length,
        crc=out.crc,
        index_crc=index.crc32c(np.frombuffer(ours, np.uint8)),
        idx_crc=index.crc32c(np.frombuffer(dalis, np.uint8)),
        split=split,
        recordings=shard_index.recordings,
        pairs=shard_pairs(shard_index),
    )


def shard_pairs(entry: index.ShardIndex) -> tuple[str, ...]:
    """Binaural pairs that every clip of a shard has, as PCM or FLAC."""
    kinds = ("wav", "flac")
    return tuple(
        pair for pair in PAIRS if any((entry.column(pair_extension(pair, kind)) >= 0).all() for kind in kinds) and len(entry)
    )
