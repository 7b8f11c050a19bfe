"""The manifest: which shards a set consists of. A shard exists when the manifest names it, and readers go by it alone.

Columnar, O(shards): a million shards load in well under a second, and nothing in it grows with the number of clips.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dataio.format import table
from dataio.format.clip import PAIRS

KIND, VERSION = "sonosphere-manifest", 3
FILE = "manifest.npz"

_SHARD_COLUMNS = {
    "name": "S",
    "clips": "i",
    "bytes": "i",
    "crc": "u",
    "index_crc": "u",
    "idx_crc": "u",
    "split": "i",
    "pairs": "i",
}


@dataclass(frozen=True)
class Shard:
    """One tar of a set. name: without `.tar`. crc, index_crc, idx_crc: CRC-32C of tar, our index and DALI's. recordings: slugs.
    pairs: those that every clip of it has.
    """

    name: str
    clips: int
    bytes: int
    crc: int
    index_crc: int
    idx_crc: int
    split: str
    recordings: tuple[str, ...]
    pairs: tuple[str, ...]


@dataclass(frozen=True)
class Media:
    """What every clip of a set has in common; zero or empty where it has no such thing, or not in common.

    frames: a clip. size: (height, width), pixels. rate: Hz. pairs: those found in at least one clip.
    picture: how the frames are kept: `jpeg` (a member each), the codec of one container a clip (`h264`, `hevc`, `vp9`, `av1`, or
    `copy`: as recorded), `still` for image sets. sound: `pcm` or `flac`. extras: of `flow`, `mask`, `labels`, those in every clip.
    classes: names of an image set's classes; a picture's json holds the row.
    """

    clip_seconds: float
    frames: int
    size: tuple[int, int]
    rate: int
    pairs: tuple[str, ...]
    picture: str = "jpeg"
    sound: str = "pcm"
    extras: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A whole set, by columns.

    shards: one row a shard. recordings: slugs of the set, whose rows are the global recording ids. splits: names, in the order of
    the shards' `split` column. mean_rms: `front.L` → arithmetic mean of the clips' RMS, of full scale. options: how it was built.
    first_clip: (shards + 1,) int64; the global id of clip r of shard s is first_clip[s] + r.
    """

    fingerprint: str
    media: Media
    mean_rms: dict[str, float]
    options: dict[str, Any]
    splits: tuple[str, ...]
    recordings: np.ndarray
    shards: dict[str, np.ndarray] = field(repr=False)
    first_clip: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.shards["name"])

    @property
    def clips(self) -> int:
        return int(self.first_clip[-1])

    def name(self, shard: int) -> str:
        return self.shards["name"][shard].decode()

    def shard_recordings(self, shard: int) -> np.ndarray:
        """Global recording ids of a shard, in the order in which its index numbers them."""
        begin = self.shards["recording_begin"]
        return self.shards["recordings"][begin[shard] : begin[shard + 1]]

    def select(self, split: str | None, pairs: Iterable[str] = ()) -> np.ndarray:
        """Rows of the shards of a split (None: of all) in which every clip has these pairs, (n,) int64.

        Raises:
            ValueError: no such split; the message names those there are.
        """
        if split is not None and split not in self.splits:
            raise ValueError(f"split={split!r} is not in this set; it has {list(self.splits)}")
        needed = _mask(pairs)
        chosen = self.shards["pairs"] & needed == needed
        return np.flatnonzero(chosen if split is None else chosen & (self.shards["split"] == self.splits.index(split)))

    def dump(self) -> bytes:
        head = {
            "format": KIND,
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "media": vars(self.media),
            "mean_rms": self.mean_rms,
            "options": self.options,
            "splits": list(self.splits),
        }
        return table.dump(head, {"recording": self.recordings} | {f"shard.{k}": v for k, v in self.shards.items()})


def _mask(pairs: Iterable[str]) -> int:
    """Pairs as bits, in the order of PAIRS."""
    return sum(1 << PAIRS.index(pair) for pair in pairs)


def _first_clip(clips: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(clips, dtype=np.int64)])


def _fingerprint(media: Media, mean_rms: Mapping[str, float], shards: Sequence[Shard]) -> str:
    """SHA-256 over all that decides what a reader gets: media facts, levels, and every shard's name, length and checksums."""
    digest = hashlib.sha256(json.dumps([vars(media), dict(mean_rms)], sort_keys=True).encode())
    for s in shards:
        digest.update(f"{s.name} {s.clips} {s.bytes} {s.crc} {s.index_crc} {s.split}\n".encode())
    return digest.hexdigest()


def build(shards: Sequence[Shard], media: Media, mean_rms: Mapping[str, float], options: Mapping[str, Any]) -> Manifest:
    """The manifest of these shards, in this order."""
    slugs = list(dict.fromkeys(slug for shard in shards for slug in shard.recordings))
    number = {slug: i for i, slug in enumerate(slugs)}
    splits = tuple(sorted({shard.split for shard in shards}))
    counts = [len(shard.recordings) for shard in shards]
    columns = {
        "name": np.array([s.name.encode() for s in shards], "S"),
        "clips": np.array([s.clips for s in shards], np.int32),
        "bytes": np.array([s.bytes for s in shards], np.int64),
        "crc": np.array([s.crc for s in shards], np.uint32),
        "index_crc": np.array([s.index_crc for s in shards], np.uint32),
        "idx_crc": np.array([s.idx_crc for s in shards], np.uint32),
        "split": np.array([splits.index(s.split) for s in shards], np.int32),
        "pairs": np.array([_mask(s.pairs) for s in shards], np.int32),
        "recording_begin": np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        "recordings": np.array([number[slug] for s in shards for slug in s.recordings], np.int32),
    }
    return Manifest(
        fingerprint=_fingerprint(media, mean_rms, shards),
        media=media,
        mean_rms=dict(mean_rms),
        options=dict(options),
        splits=splits,
        recordings=np.array([slug.encode() for slug in slugs], "S"),
        shards=columns,
        first_clip=_first_clip(columns["clips"]),
    )


def load(folder: Path) -> Manifest:
    """The manifest of the shard set in `folder`.

    Raises:
        FileNotFoundError: no folder, or no manifest in it (an unfinished build has none).
        table.FormatError: damaged or foreign.
    """
    path = folder / FILE
    if not path.is_file():
        why = "it does not exist" if not folder.exists() else f"it has no {FILE}"
        raise FileNotFoundError(f"{folder} is no finished shard set: {why}")
    return parse(path.read_bytes(), str(path))


def parse(data: bytes, name: str) -> Manifest:
    """The manifest with these bytes. name: what to call it in errors.

    Raises:
        table.FormatError: damaged or foreign.
    """
    head, columns = table.load(data, name, KIND, VERSION)
    found = {k[6:]: v for k, v in columns.items() if k.startswith("shard.")}
    shards = table.take(found, name, _SHARD_COLUMNS)
    for column in ("recording_begin", "recordings"):  # those with one row more, and with a row for every recording of a shard
        shards |= table.take(found, name, {column: "i"})
    recordings = table.take(columns, name, {"recording": "S"})["recording"]
    try:
        begin = shards["recording_begin"]
        if (
            len(begin) != len(shards["name"]) + 1
            or begin[0] != 0
            or begin[-1] != len(shards["recordings"])
            or (np.diff(begin) < 0).any()
        ):
            raise table.FormatError(f"{name}: shard.recording_begin does not fit the shards and their recordings")
        table.check_range(shards["recordings"], name, "shard.recordings", 0, len(recordings))
        table.check_range(shards["split"], name, "shard.split", 0, len(head["splits"]))
        table.check_range(shards["pairs"], name, "shard.pairs", 0, 1 << len(PAIRS))
        media: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in head["media"].items()}
        return Manifest(
            fingerprint=str(head["fingerprint"]),
            media=Media(**media),
            mean_rms=dict(head["mean_rms"]),
            options=dict(head["options"]),
            splits=tuple(head["splits"]),
            recordings=recordings,
            shards=shards,
            first_clip=_first_clip(shards["clips"]),
        )
    except (KeyError, TypeError) as error:
        raise table.FormatError(f"{name}: inconsistent manifest: {error}") from error
