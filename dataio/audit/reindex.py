"""Indexes for tars that others made, or whose indexes are lost: .idx, .npz and the manifest, from the tars alone.

A tar is read once and never written to. One that is broken is refused and named, and the others go on; the manifest comes last.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dataio.audit.report import Problem
from dataio.format import atomic, index, manifest, tar
from dataio.format.clip import EARS, PAIRS
from dataio.format.writer import shard_pairs
from dataio.ingest.executors import Executor

_CELLS = 2**26  # of the table (clips, extensions) that a reader makes; it would need a quarter of a gibibyte
_KEY_BYTES = 2**30  # of the column of keys, which is as wide as the longest
_TEXT = 2**24  # bytes of a json; a longer one is no clip's facts
_CLASSES = 2**20  # labels above are no numbers of classes
_FRAME = re.compile(r"f\d{3}\.jpg")
_CONTAINERS = ("mp4", "webm")
_PAIR_OF = {f"{pair}.{suffix}": pair for pair in PAIRS for suffix in ("wav", "flac")}


@dataclass(frozen=True)
class Seen:
    """What the clips of a tar, or of all tars, say of themselves.

    everywhere: extensions that every clip has. pairs: those that any clip has. The rest are the different values that were met, at
    most two of each, because only a value that is alone is common to all: seconds, frames a clip, (height, width) of frames, rates
    (Hz), and how picture and sound are kept, if the clips' json says so. rms: ear → how many clips gave a value, and floats with
    the exact sum of those values.
    """

    everywhere: frozenset[str] = frozenset()
    pairs: frozenset[str] = frozenset()
    seconds: tuple[float, ...] = ()
    frames: tuple[int, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    rates: tuple[int, ...] = ()
    pictures: tuple[str, ...] = ()
    sounds: tuple[str, ...] = ()
    classes: Mapping[int, str | None] = field(default_factory=dict)
    rms: Mapping[str, tuple[int, tuple[float, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Indexed:
    """What became of one tar: its row of the manifest, or why it was refused. fresh: files written that are not synced yet.
    skipped, others: see `tar.Walk`.
    """

    name: str
    shard: manifest.Shard | None
    problem: Problem | None
    fresh: tuple[str, ...] = ()
    seen: Seen = Seen()
    members: int = 0
    skipped: int = 0
    others: int = 0


@dataclass(frozen=True)
class _Work:
    """One tar to do. split: of clips whose json names none. expected: (bytes, crc) by the manifest there is; crc 0: unknown."""

    name: str
    split: str
    expected: tuple[int, int] | None


def reindex(
    folder: Path,
    executor: Executor,
    *,
    split: str = "train",
    headers_only: bool = False,
    replace: bool = False,
    on_tar: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write .idx and .npz beside every tar of a folder, tars in parallel, and then the manifest of those that are right.

    Args:
        split: of tars whose clips do not name theirs, and which no manifest knows.
        headers_only: read no more than headers and first bytes: no checksums.
        replace: take the tars as they are, whatever a manifest that is there says of them.
        on_tar: told (tars done, tars in all).

    Returns:
        a report, as JSON. `ok`: no tar was refused. `written`: the manifest is new; it stays as it was where a tar that it names is
        refused, missing or not the same.

    Raises:
        FileNotFoundError: no such folder, or no tar in it.
        ValueError: the manifest that is there is damaged, or would lose its checksums; or not one tar could be indexed.
        OSError: an index cannot be written; the manifest is as it was.
    """
    paths = sorted(path for path in folder.glob("*.tar") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no tar" if folder.is_dir() else f"{folder} is no folder")
    old = None if replace or not (folder / manifest.FILE).is_file() else manifest.load(folder)
    known = _known(old)
    if headers_only and any(expected[1] for _, expected in known.values()):
        raise ValueError(f"{folder / manifest.FILE} holds checksums, which headers alone cannot give: replace it, or index in full")
    work = []
    for path in paths:
        was, expected = known.get(path.stem, (split, None))
        work.append(_Work(path.stem, was, expected))
    found = []
    for one in executor.map(partial(_index_tar, folder=folder, checksums=not headers_only), work):
        found.append(one)
        on_tar(len(found), len(paths))
    problems = [one.problem for one in found if one.problem]
    names = {path.stem for path in paths}
    problems += [Problem(f"{name}.tar", f"{manifest.FILE} names it, but it is not there") for name in known if name not in names]
    shards = [one.shard for one in found if one.shard]
    if not shards:
        raise ValueError(f"not one tar of {folder} could be indexed: {problems[0]}")
    seen = _all(one.seen for one in found if one.shard)
    mean_rms = {ear: math.fsum(parts) / count for ear, (count, parts) in seen.rms.items()}
    options = old.options if old else {"indexed": "headers" if headers_only else "checksums"}
    result = manifest.build(shards, media(seen), mean_rms, options)
    written = not any(problem.file.removesuffix(".tar") in known for problem in problems)
    if written:
        _sync(folder, [file for one in found for file in one.fresh])
        atomic.write_file(folder / manifest.FILE, result.dump())
    return {
        "ok": not problems,
        "written": written,
        "shards": len(result),
        "clips": result.clips,
        "members": sum(one.members for one in found),
        "bytes": int(result.shards["bytes"].sum()),
        "recordings": len(result.recordings),
        "splits": {name: int(result.shards["clips"][result.select(name)].sum()) for name in result.splits},
        "checksums": not headers_only,
        "without_extension": sum(one.skipped for one in found),
        "not_files": sum(one.others for one in found),
        "refused": {problem.file: str(problem) for problem in problems},
        "mean_rms": mean_rms,
        "fingerprint": result.fingerprint,
    }


def _known(old: manifest.Manifest | None) -> dict[str, tuple[str, tuple[int, int]]]:
    """Name → (split, (bytes, crc)) of the shards that a manifest names."""
    if old is None:
        return {}
    s = old.shards
    columns = (s["split"].tolist(), s["bytes"].tolist(), s["crc"].tolist())
    return {old.name(i): (old.splits[split], (size, crc)) for i, (split, size, crc) in enumerate(zip(*columns, strict=True))}


def _index_tar(work: _Work, *, folder: Path, checksums: bool) -> Indexed:
    """Runs in a worker: walk one tar and write its two indexes; a broken tar is a result, not an exception."""
    file = f"{work.name}.tar"
    try:
        file.encode()
        if f"{work.name}.npz" == manifest.FILE:
            return Indexed(work.name, None, Problem(file, f"its index would be called {manifest.FILE}: rename it"))
        walk = tar.walk(folder / file, checksums=checksums)
    except tar.TarError as error:
        return Indexed(work.name, None, Problem(file, error.what, offset=error.offset))
    except UnicodeEncodeError:
        return Indexed(
            work.name, None, Problem(file.encode(errors="backslashreplace").decode(), "its name is not UTF-8: rename it")
        )
    except OSError as error:
        return Indexed(work.name, None, Problem(file, f"cannot be read: {error.strerror}"))
    told, facts = _facts(walk, folder / file)
    splits = {str(fact["split"]) for fact in facts if isinstance(fact.get("split"), str)} or {work.split}
    what = _unfit(walk, splits, work.expected)
    if what:
        return Indexed(work.name, None, Problem(file, what))
    starts = np.zeros(len(walk.clips))
    starts[told] = [_number(fact.get("start")) or 0.0 for fact in facts]
    entry = shard_index(work.name, walk, starts, checksums=checksums)
    ours, dalis = entry.dump(), walk.dali_idx()
    written = {f"{work.name}.npz": ours, f"{work.name}.idx": dalis}
    fresh = tuple(name for name, data in written.items() if _publish(folder / name, data))
    everywhere = frozenset(extension for extension in entry.extensions if (entry.column(extension) >= 0).all())
    shard = manifest.Shard(
        name=work.name,
        clips=len(entry),
        bytes=walk.size,
        crc=walk.crc,
        index_crc=index.crc32c(np.frombuffer(ours, np.uint8)),
        idx_crc=index.crc32c(np.frombuffer(dalis, np.uint8)),
        split=splits.pop(),
        recordings=entry.recordings,
        pairs=shard_pairs(entry),
    )
    seen = _seen(entry, facts, everywhere)
    return Indexed(work.name, shard, None, fresh, seen, len(walk.rows), walk.skipped, walk.others)


def _publish(path: Path, data: bytes) -> bool:
    """Have a file with these bytes; True if it is new and not synced yet. One that is right already is left alone.

    What replaces another file is synced at once, because the manifest that is there may name it.
    """
    if path.is_file():
        if path.stat().st_size != len(data) or path.read_bytes() != data:
            atomic.write_file(path, data)
        return False
    atomic.write_file(path, data, durable=False)
    return True


def _sync(folder: Path, names: list[str]) -> None:
    """Make new files outlive a power cut; all at the end, because the first sync takes most of the work off the others."""
    for name in names:
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())
    atomic.sync_folder(folder)


def _unfit(walk: tar.Walk, splits: set[str], expected: tuple[int, int] | None) -> str | None:
    """Why a tar that was read without a fault cannot be part of the set; None if it can."""
    if not len(walk.clips):
        return "holds no sample: no file in it has a name and an extension"
    if len(splits) > 1:
        return f"holds clips of the splits {', '.join(sorted(splits))}; a shard has one"
    if len(walk.clips) * len(walk.extensions) > max(_CELLS, 16 * len(walk.rows)):
        what = f"has {len(walk.extensions)} extensions over {len(walk.clips)} samples"
        return f"{what}: what differs between samples belongs before the first dot"
    width = int(walk.clips[:, tar.KEY_LENGTH].max())
    if len(walk.clips) * width > _KEY_BYTES:
        return f"has {len(walk.clips)} samples, one of them with a key of {width} bytes, which makes the index too large"
    if expected and (walk.size, walk.crc or expected[1]) != (expected[0], expected[1] or walk.crc):
        return f"is not the one that {manifest.FILE} names: its length or checksum differs"
    return None


def shard_index(name: str, walk: tar.Walk, starts: np.ndarray, *, checksums: bool) -> index.ShardIndex:
    """The index of a tar that was walked. name: without `.tar`. starts: (clips,) float64, seconds of their recordings."""
    order = sorted(range(len(walk.extensions)), key=lambda i: walk.extensions[i])
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order))
    recordings, origin = _recordings(name, walk)
    columns = (walk.rows[:, tar.CLIP], number[walk.rows[:, tar.EXTENSION]], *walk.rows[:, tar.OFFSET : tar.LENGTH + 1].T)
    columns += (walk.rows[:, tar.CRC], *walk.rows[:, tar.FACTS : tar.FIRST_BLOCK + 1].T)
    types = index.MEMBER_TYPES.items()
    members = {column: np.ascontiguousarray(c, dtype) for (column, dtype), c in zip(types, columns, strict=True)}
    clips = {"key": walk.clip_keys(), "recording": origin, "start": starts}
    extensions = tuple(walk.extensions[i] for i in order)
    return index.from_columns(name, walk.size, recordings, extensions, checksums, clips, members, walk.block_crc)


def _recordings(name: str, walk: tar.Walk) -> tuple[tuple[str, ...], np.ndarray]:
    """Slugs in order of first appearance, and each clip's number; clips without a slug are one recording, named after the tar."""
    origin = walk.clips[:, tar.RECORDING]
    if origin.min(initial=0) >= 0:
        return walk.recordings, origin.astype(np.int32)
    if not walk.recordings:
        return (name,), np.zeros(len(origin), np.int32)
    slugs = [walk.recordings[i] if i >= 0 else name for i in origin.tolist()]
    number = {slug: i for i, slug in enumerate(dict.fromkeys(slugs))}
    return tuple(number), np.array([number[slug] for slug in slugs], np.int32)


def _facts(walk: tar.Walk, path: Path) -> tuple[list[int], list[dict[str, Any]]]:
    """Clips with a json, and what it says: nothing where it does not parse."""
    clips = np.flatnonzero(walk.clips[:, tar.TEXT_LENGTH] >= 0).tolist()
    facts = []
    for clip in clips:
        text = walk.text(clip)
        if text is None and (length := int(walk.clips[clip, tar.TEXT_LENGTH])) <= _TEXT:
            with open(path, "rb") as file:
                text = os.pread(file.fileno(), length, -int(walk.clips[clip, tar.TEXT_AT]))
        try:
            fact = json.loads(text) if text else {}
        except (ValueError, RecursionError):
            fact = {}
        facts.append(fact if isinstance(fact, dict) else {})
    return clips, facts


def _number(value: object) -> float | None:
    """A finite number of a json, whole or not as it stands there; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def _classes(facts: list[dict[str, Any]]) -> dict[int, str | None]:
    """Label → name of the class; None where two clips name it differently."""
    names: dict[int, str | None] = {}
    for fact in facts:
        label, name = fact.get("label"), fact.get("class")
        if isinstance(label, int) and isinstance(name, str) and 0 <= label < _CLASSES:
            names[label] = name if names.setdefault(label, name) == name else None
    return names


def _few(values: Iterable[Any]) -> tuple[Any, ...]:
    """The different values, at most two of them."""
    return tuple(sorted(set(values))[:2])


def _few_rows(*columns: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """The different rows that the columns make, at most two of them."""
    if not len(columns[0]) or all((column == column[0]).all() for column in columns):
        return tuple(zip(*(column[:1].tolist() for column in columns), strict=True))
    return tuple(map(tuple, np.unique(np.stack(columns, 1), axis=0)[:2].tolist()))


def _seen(entry: index.ShardIndex, facts: list[dict[str, Any]], everywhere: frozenset[str]) -> Seen:
    def which(wanted: Callable[[str], object]) -> np.ndarray:
        """The members of the wanted extensions."""
        return np.array([bool(wanted(extension)) for extension in entry.extensions], bool)[entry.members["extension"]]

    m = entry.members
    frame, sound = which(_FRAME.fullmatch), which(_PAIR_OF.__contains__)
    picture = frame | which(_CONTAINERS.__contains__)
    if frame.any():
        frames = [count for (count,) in _few_rows(np.bincount(m["clip"][frame], minlength=len(entry)))]
    else:
        frames = [len(fact["frame_times"]) for fact in facts if isinstance(fact.get("frame_times"), list)]
    rates = [int(rate) for fact in facts if (rate := _number(fact.get("sound_rate"))) is not None]
    rms: dict[str, list[float]] = {}
    for fact in facts:
        if isinstance(levels := fact.get("rms"), dict):
            for ear in EARS:
                if (level := _number(levels.get(ear))) is not None:
                    rms.setdefault(ear, []).append(level)
    return Seen(
        everywhere=everywhere,
        pairs=frozenset(_PAIR_OF[e] for e in entry.extensions if e in _PAIR_OF),
        seconds=_few(s for fact in facts if (s := _number(fact.get("seconds"))) is not None),
        frames=_few(frames),
        sizes=_few_rows(m["height"][picture], m["width"][picture]),  # type: ignore[arg-type]
        rates=_few(rates) or _few(rate for (rate,) in _few_rows(m["rate"][sound])),
        pictures=_few(fact["picture"] for fact in facts if isinstance(fact.get("picture"), str)),
        sounds=_few(e.rpartition(".")[2] for e in entry.extensions if e in _PAIR_OF),
        classes=_classes(facts),
        rms={ear: (len(values), _exact(values)) for ear, values in rms.items()},
    )


def _exact(values: list[float]) -> tuple[float, ...]:
    """A few floats with exactly the sum of all the values, so that the mean does not depend on how clips lie in tars."""
    parts: list[float] = []
    while rest := math.fsum([*values, *(-part for part in parts)]):
        parts.append(rest)
    return tuple(parts)


def _all(tars: Iterable[Seen]) -> Seen:
    """What all tars together say."""
    every = list(tars)

    def few(name: str) -> tuple[Any, ...]:
        return _few(value for seen in every for value in getattr(seen, name))

    classes: dict[int, str | None] = {}
    for seen in every:
        for label, name in seen.classes.items():
            classes[label] = name if classes.setdefault(label, name) == name else None
    rms: dict[str, tuple[int, tuple[float, ...]]] = {}
    for ear in EARS:
        sums = [seen.rms[ear] for seen in every if ear in seen.rms]
        if sums:
            rms[ear] = sum(count for count, _ in sums), _exact([part for _, parts in sums for part in parts])
    return Seen(
        frozenset.intersection(*(seen.everywhere for seen in every)),
        frozenset().union(*(seen.pairs for seen in every)),
        classes=classes,
        rms=rms,
        **{name: few(name) for name in ("seconds", "frames", "sizes", "rates", "pictures", "sounds")},
    )


def media(seen: Seen) -> manifest.Media:
    """What all clips have in common. A class that no clip is of has no name."""

    def common(values: tuple[Any, ...], otherwise: Any) -> Any:
        return values[0] if len(values) == 1 else otherwise

    picture = "jpeg" if "f000.jpg" in seen.everywhere else common(seen.pictures, "still" if "jpg" in seen.everywhere else "")
    agreed = None not in seen.classes.values()
    copied = picture == "copy"  # as the recordings were: the next set like it may differ, so nothing is said to be common
    sound = {"wav": "pcm", "flac": "flac"}.get(common(seen.sounds, ""), "")
    return manifest.Media(
        clip_seconds=common(seen.seconds, 0.0),
        frames=0 if copied else common(seen.frames, 0),
        size=(0, 0) if copied else common(seen.sizes, (0, 0)),
        rate=common(seen.rates, 0),
        pairs=tuple(pair for pair in PAIRS if pair in seen.pairs),
        picture=picture,
        sound=sound,
        extras=tuple(kind for kind in ("flow", "mask", "labels") if f"{kind}.png" in seen.everywhere),
        classes=tuple(seen.classes.get(label) or "" for label in range(max(seen.classes, default=-1) + 1)) if agreed else (),
    )
