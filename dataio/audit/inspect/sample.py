"""What of a set is read, and how it is drawn."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dataio.audit import mixing
from dataio.audit.inspect.members import FACTS, FRAME, Clip, class_name, json_object, read
from dataio.audit.inspect.text import reason
from dataio.audit.levels import levels_in
from dataio.format import index, manifest
from dataio.format.clip import EARS
from dataio.format.table import FormatError
from dataio.stream.order import random

SHARDS = 64  # indexes read at most
JSONS, LABELS = 1024, 4096  # json members read, about: for levels; for classes, of which pairs of one must be met to be counted


@dataclass
class Look:
    """What was seen of the sampled shards, in the order in which they were drawn.

    counts: shard row → {recording id: clips}. sequence: shard row → recording id of its clips as stored. sizes: kind → lengths of
    members; bytes, members: of each kind, exactly. ends: recording id → start of its last clip seen. candidates: one list a shard.
    levels: ear → RMS of clips. classes: shard row → {class: clips}, of those whose json was read. broken: what could not be read.
    """

    counts: dict[int, dict[int, int]] = field(default_factory=dict)
    sequence: dict[int, np.ndarray] = field(default_factory=dict)
    sizes: dict[str, list[np.ndarray]] = field(default_factory=dict)
    bytes: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    ends: dict[int, float] = field(default_factory=dict)
    candidates: list[list[Clip]] = field(default_factory=list)
    levels: dict[str, list[float]] = field(default_factory=dict)
    classes: dict[int, Counter[str]] = field(default_factory=dict)
    jsons: int = 0
    broken: list[str] = field(default_factory=list)


def sampled_shards(found: manifest.Manifest, stream: int, most: int = SHARDS) -> list[int]:
    """Rows of up to `most` shards, in random order: first enough of each split for a window, then each split by its share."""
    ranked = []
    for number in range(len(found.splits)):
        rows = np.flatnonzero(found.shards["split"] == number)
        for i, at in enumerate(random.permutation(random.key(stream, "shards", number), len(rows))[:most]):
            ranked.append((i >= mixing.WINDOW, (i + 0.5) / len(rows), number, int(rows[at])))
    return [row for *_, row in sorted(ranked)[:most]]


def look_into(folder: Path, found: manifest.Manifest, rows: Sequence[int], stream: int, clips: int) -> Look:
    """Read the indexes of these shards and the json of some of their clips. clips: that may be shown, wanted in all."""
    look = Look()
    for row in rows:
        name = found.name(row)
        try:
            data = (folder / f"{name}.npz").read_bytes()
            if index.crc32c(np.frombuffer(data, np.uint8)) != found.shards["index_crc"][row]:
                raise FormatError(f"{name}.npz does not match its checksum in the manifest")
            entry = index.load(data, f"{name}.npz")
            ids = found.shard_recordings(row)
            if len(ids) != len(entry.recordings) or len(entry) != found.shards["clips"][row]:
                raise FormatError(f"{name}.npz has other clips or recordings than the manifest says")
        except (OSError, FormatError) as error:
            look.broken.append(reason(error, folder))
            continue
        _count(look, entry, row, ids)
        mixed = random.permutation(random.key(stream, "clips", row), len(entry))
        split = found.splits[found.shards["split"][row]]
        each = max(1, (LABELS if found.media.classes else JSONS) // len(rows))
        _read_jsons(look, folder, entry, row, np.sort(mixed[:each]), found.media.classes)
        look.candidates.append(_candidates(entry, split, mixed, clips))
    return look


def _count(look: Look, entry: index.ShardIndex, row: int, ids: np.ndarray) -> None:
    sequence = ids[entry.clips["recording"]]
    look.sequence[row] = sequence
    numbers, counts = np.unique(sequence, return_counts=True)
    look.counts[row] = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    last = np.full(len(ids), -np.inf)
    np.maximum.at(last, entry.clips["recording"], entry.clips["start"])
    for number, start in zip(ids.tolist(), last.tolist(), strict=True):
        if math.isfinite(start):
            look.ends[number] = max(look.ends.get(number, start), start)
    lengths, extension = entry.members["length"], entry.members["extension"]
    for i, name in enumerate(entry.extensions):
        mine = lengths[extension == i]
        if not len(mine):
            continue
        kind = "f000.jpg ..." if FRAME.fullmatch(name) else name
        look.bytes[kind] += int(mine.sum())
        look.members[kind] += len(mine)
        look.sizes.setdefault(kind, []).append(mine[:: -(-len(mine) // 4096)])


def _candidates(entry: index.ShardIndex, split: str, mixed: np.ndarray, most: int) -> list[Clip]:
    """Up to `most` clips of a shard: first one of each recording, then further ones."""
    recording = entry.clips["recording"][mixed]
    _, first = np.unique(recording, return_index=True)
    ranked = np.concatenate([np.sort(first), np.setdiff1d(np.arange(len(mixed)), first)])[:most]
    result = []
    m = entry.members
    for clip in mixed[ranked]:
        members = {}
        for row in np.sort(entry.row[clip][entry.row[clip] >= 0]):
            crc = int(m["crc"][row]) if entry.checksums else -1
            members[entry.extensions[m["extension"][row]]] = (
                int(m["offset"][row]),
                int(m["length"][row]),
                crc,
                int(m["frames"][row]),
            )
        name = entry.recordings[entry.clips["recording"][clip]]
        key = entry.clips["key"][clip].decode(errors="replace")
        result.append(Clip(entry.name, split, key, name, float(entry.clips["start"][clip]), members))
    return result


def chosen(candidates: Sequence[Sequence[Clip]], most: int) -> list[Clip]:
    """`most` clips of as many recordings, and then as many shards, as there are."""
    queue = [(i, j, clip) for j, clips in enumerate(candidates) for i, clip in enumerate(clips)]
    used: Counter[str] = Counter()
    result: list[Clip] = []
    while queue and len(result) < most:
        best = min(queue, key=lambda c: (used[c[2].recording], *c[:2]))
        queue.remove(best)
        used[best[2].recording] += 1
        result.append(best[2])
    return result


def _read_jsons(look: Look, folder: Path, entry: index.ShardIndex, row: int, clips: np.ndarray, classes: Sequence[str]) -> None:
    members = entry.column("json")[clips]
    for i in members[members >= 0].tolist():
        m = entry.members
        place = int(m["offset"][i]), int(m["length"][i]), int(m["crc"][i]) if entry.checksums else -1
        try:
            known = json_object(read(folder / f"{entry.name}.tar", *place, most=FACTS))
            for ear, value in levels_in(known).items():
                if ear in EARS:
                    look.levels.setdefault(ear, []).append(value)
        except (OSError, ValueError) as error:
            look.broken.append(
                f"{entry.name}, {entry.clips['key'][m['clip'][i]].decode(errors='replace')}.json: {reason(error, folder)}"
            )
            continue
        look.jsons += 1
        if classes and (name := class_name(known, classes)):
            look.classes.setdefault(row, Counter())[name] += 1
