"""Writing one shard: a USTAR archive with its two indexes beside it, all three published by rename."""

import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np

from dataio.format import atomic, index
from dataio.format.clip import PAIRS, pair_extension
from dataio.format.manifest import Shard

_HEADER = 512  # bytes of a USTAR header; every name here is short enough for exactly one


@dataclass(frozen=True)
class Sample:
    """A clip to be written: an index entry whose member offsets are not known yet, and the members' bytes in the same order."""

    clip: index.Clip
    payload: tuple[bytes, ...]


class _Checked:
    """A file that keeps the CRC-32C of all that was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.crc, self.length = file, google_crc32c.Checksum(), 0

    def write(self, data: bytes) -> int:
        self.crc.update(data)
        self.length += len(data)
        return self.file.write(data)

    def tell(self) -> int:
        return self.length


def _header(name: str, length: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)  # owner 0, no clock: the same input gives the same bytes
    info.size, info.mode = length, 0o644
    return info


def write_shard(folder: Path, name: str, split: str, samples: Iterable[Sample]) -> Shard:
    """Write `name`.tar, .idx (DALI's) and .npz (ours) into `folder`.

    The files appear together with their final content or not at all, the tar last; nothing reads them before a manifest names them.

    Returns:
        the shard's row for the manifest.

    Raises:
        OSError: disk full, not writable, …; no file of the shard is left behind.
    """
    path = folder / f"{name}.tar"
    temporary = folder / f".{name}.tar.{os.getpid()}.tmp"
    clips: list[index.Clip] = []
    try:
        with open(temporary, "wb") as raw:
            out = _Checked(raw)
            for sample in samples:
                clips.append(_append(out, sample))
            end = 2 * tarfile.BLOCKSIZE  # two empty blocks end an archive; tools expect it padded to a whole record
            out.write(bytes(end + -(out.length + end) % tarfile.RECORDSIZE))
            raw.flush()
            os.fsync(raw.fileno())
        shard_index = index.build(name, out.length, clips)
        ours, dalis = shard_index.dump(), index.dali_idx(clips).encode()
        atomic.write_file(folder / f"{name}.npz", ours)
        atomic.write_file(folder / f"{name}.idx", dalis)
        os.replace(temporary, path)
        atomic.sync_folder(folder)
    except BaseException:
        for leftover in (temporary, folder / f"{name}.npz", folder / f"{name}.idx"):
            leftover.unlink(missing_ok=True)
        raise
    return Shard(
        name=name,
        clips=len(clips),
        bytes=out.length,
        crc=int.from_bytes(out.crc.digest(), "big"),
        index_crc=index.crc32c(np.frombuffer(ours, np.uint8)),
        idx_crc=index.crc32c(np.frombuffer(dalis, np.uint8)),
        split=split,
        recordings=shard_index.recordings,
        pairs=tuple(pair for pair in PAIRS if (shard_index.column(pair_extension(pair)) >= 0).all()),
    )


def _append(out: _Checked, sample: Sample) -> index.Clip:
    """Write the members of one clip and return its index entry with their true offsets."""
    placed = []
    for member, data in zip(sample.clip.members, sample.payload, strict=True):
        header = _header(f"{sample.clip.key}.{member.extension}", len(data)).tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
        if len(header) != _HEADER:
            raise ValueError(f"member name {sample.clip.key}.{member.extension} does not fit a USTAR header")
        out.write(header)
        placed.append(replace(member, offset=out.length))
        out.write(data)
        out.write(bytes(-len(data) % tarfile.BLOCKSIZE))
    return replace(sample.clip, members=tuple(placed))
