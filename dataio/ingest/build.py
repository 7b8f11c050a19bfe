"""Recordings into a shard set: encode in parallel, deal each group's clips over its shards, publish the manifest last."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dataio.format import manifest
from dataio.format.clip import EARS, PAIRS, slug
from dataio.format.folder import Folder, folder
from dataio.ingest import deal, inputs, schedule, sources, spool
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.errors import disappeared
from dataio.ingest.executors import Executor, Inline, WorkerDiedError
from dataio.ingest.progress import Counter as Count
from dataio.ingest.progress import Progress
from dataio.ingest.sources import Album, Recording, Refused, SourceError
from dataio.ingest.sources.images import albums as find_albums
from dataio.ingest.spool import Summary
from dataio.ingest.work import Job, Unit, encode_unit, files, write_dealt_shard
from dataio.ingest.workspace import Workspace

SHARD_BYTES = 256 * 2**20

__all__ = ["SHARD_BYTES", "BuildOptions", "Progress", "build"]


@dataclass(frozen=True)
class BuildOptions:
    """How a set is built. shard_bytes: aimed at, never far exceeded. split: shares by recording."""

    encode: EncodeOptions = field(default_factory=EncodeOptions)
    layout: str = "auto"
    split: str = "train=0.8,val=0.2"
    shard_bytes: int = SHARD_BYTES
    allow_mono: bool = False

    def __post_init__(self) -> None:
        if self.shard_bytes < 1:
            raise ValueError(f"shard bytes {self.shard_bytes} must be at least 1")


def build(
    source: Path,
    out: Path | str | Folder,
    options: BuildOptions,
    executor: Executor,
    on_progress: Callable[[Progress], None] = lambda _: None,
    *,
    strict: bool = False,
) -> dict[str, Any]:
    """Build the shard set of a source folder in `out`, or go on with an unfinished build of the same.

    Args:
        out: a path, or a URL that fsspec knows.
        strict: a recording that cannot be used stops the build, instead of being left out.

    Returns:
        the report that is also written as `build.json`: counts, what was skipped and why, seconds dropped at the ends. Of a set
        that is already there, the report of its build, with `already` true.

    Raises:
        SourceError: the source or the output cannot be used, or no recording could be built; `out` is left as it was. With `strict`
            also: a recording was skipped; what is finished stays.
        OSError: the disk, or the source has disappeared; what is finished stays, and the same command goes on from there.
        WorkerDiedError: a worker was killed; likewise.
    """
    place = folder(out) if isinstance(out, Path | str) else out
    shares = deal.parse_shares(options.split)
    layout = sources.layout_of(source, options.layout)
    inputs.check_apart(source, place)
    odd, names = inputs.look_through(source, layout)
    found = [_nameable(f) for f in _find(source, layout, shares, options)]
    twice = [name for name, count in Counter(f.name for f in found).items() if count > 1]
    if twice:
        raise SourceError(f"{source} holds more than one recording {twice[0]}: names without suffix must differ")
    usable = {f.name: f for f in found if not isinstance(f, Refused)}
    skipped = odd | {f.name: f.reason for f in found if isinstance(f, Refused)}
    if inputs.look_through(source, layout) != (odd, names):
        raise OSError(f"the source {source} changed, or has disappeared, while it was listed; nothing has been written")
    if not usable or (strict and skipped):
        raise SourceError(_nothing(source, skipped) if not usable else _strict(skipped))
    plan, weights, seen = _plan(source, found, options, layout)
    workspace = Workspace(place, plan)
    if workspace.finished:
        report = workspace.report()
        if strict and report.get("skipped"):
            raise SourceError(_strict(report["skipped"]))
        return report | {"already": True}
    try:
        families = {name: unit.family for name, unit in usable.items() if isinstance(unit, Recording)}
        split_of = deal.splits({name: unit.split for name, unit in usable.items()}, shares, families)
        # a shard holds one split, and recordings with the same pairs: a reader that needs the others can leave it out as a whole
        kind_of = {name: (split, *_pairs(usable[name])) for name, split in split_of.items()}
        rows, groups = _groups(workspace, kind_of, usable)
        if strict and (refused := _refused(rows, groups)):
            raise SourceError(_strict(refused))
        count = Count(weights, workspace.work, on_progress)
        job = Job(source, place, workspace.work, options.encode, count.tick if isinstance(executor, Inline) else None)
        for group in groups:
            for name in group.encoded if group.done is None else [unit.name for unit in group.units]:
                count.before(name)

        def on_unit(unit: Unit, summary: Summary) -> None:
            count.finished(unit.name, summary)
            if strict and summary.reason is not None:
                raise SourceError(_strict({summary.name: summary.reason}))

        finished = schedule.run(
            executor,
            groups,
            encode=(encode_unit, (job,)),
            write=(write_dealt_shard, (job,)),
            weight=lambda unit: weights[unit.name],
            name=lambda unit: unit.name,
            count=lambda kept: math.ceil(sum(summary.bytes for summary in kept) / options.shard_bytes),
            on_unit=on_unit,
            on_wait=count.tick,
        )
        with closing(finished):
            for done in finished:
                rows[done.group.number] = _rows(done)
                workspace.finish_group(done.group.number, rows[done.group.number], [summary.slug for summary in done.summaries])
        if not any(row["shards"] for row in rows.values()):
            skipped |= {name: reason for row in rows.values() for name, reason in row["skipped"].items()}
            workspace.abandon()
            raise SourceError(_nothing(source, skipped))
        if changed := inputs.changed(source, seen):
            if not (source / changed[0]).exists():
                raise disappeared(source / changed[0])
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            raise SourceError(f"{changed[0]} was changed while it was built from{more}: build again, into another folder")
        return _publish(workspace, [rows[number] for number in sorted(rows)], usable, skipped, plan, options)
    except WorkerDiedError as error:
        workspace.pause()
        raise WorkerDiedError(f"{error}; what is finished stays, and the same command goes on") from error
    except BaseException:
        workspace.pause()
        raise


def _groups(
    workspace: Workspace, kind_of: dict[str, tuple[str, ...]], usable: dict[str, Unit]
) -> tuple[dict[int, dict[str, Any]], list[schedule.Group[Unit]]]:
    """All groups, with what an earlier run has left of them; rows of those that are finished, by number."""
    rows, groups = {}, []
    left = set(workspace.work.names()) if workspace.resumed else set()
    for number, ((split, *_), names) in enumerate(deal.groups(kind_of)):
        group = schedule.Group(number, split, [usable[name] for name in names])
        if (row := workspace.group(number) if left else None) is not None:
            rows[number] = row
            group.done = len(row["shards"])
            for name in names:  # it may have been killed while it removed them
                if f"{slug(name)}.{spool.SUMMARY}" in left:
                    spool.remove(workspace.work, slug(name))
        for name in names if group.done is None else ():
            if f"{slug(name)}.{spool.SUMMARY}" in left and (summary := spool.load(workspace.work, slug(name))):
                group.encoded[name] = summary
        groups.append(group)
    return rows, groups


def _refused(rows: dict[int, dict[str, Any]], groups: Sequence[schedule.Group[Unit]]) -> dict[str, str]:
    """Units that an earlier run left out, and why."""
    left = [summary for group in groups for summary in group.encoded.values()]
    refused = {summary.name: summary.reason for summary in left if summary.reason is not None}
    return refused | {name: reason for row in rows.values() for name, reason in row["skipped"].items()}


def _rows(done: schedule.Finished) -> dict[str, Any]:
    """What a finished group leaves for the manifest and the report, as JSON."""
    kept = [summary for summary in done.summaries if summary.reason is None]
    rms: dict[str, list[float]] = {}
    for summary in kept:
        for ear, values in summary.rms.items():
            rms.setdefault(ear, []).extend(values)
    return {
        "shards": [asdict(shard) for shard in done.shards],
        "rms": rms,
        "skipped": {summary.name: summary.reason for summary in done.summaries if summary.reason is not None},
        "tails": {summary.name: summary.tail for summary in kept},
        "silent": {summary.name: summary.silent for summary in kept if summary.silent},
        "broken": [sentence for summary in kept for sentence in summary.broken],
    }


def _publish(
    workspace: Workspace,
    rows: Sequence[dict[str, Any]],
    usable: dict[str, Unit],
    skipped: dict[str, str],
    plan: dict[str, Any],
    options: BuildOptions,
) -> dict[str, Any]:
    """The manifest and the report of a build whose groups are all finished."""
    shards = [
        manifest.Shard(**row | {"recordings": tuple(row["recordings"]), "pairs": tuple(row["pairs"])})
        for group in rows
        for row in group["shards"]
    ]
    levels: dict[str, list[float]] = {}
    tails: dict[str, float] = {}
    silent: dict[str, int] = {}
    broken: list[str] = []
    for row in rows:
        skipped |= row["skipped"]
        tails |= row["tails"]
        silent |= row["silent"]
        broken += row["broken"]
        for ear, values in row["rms"].items():
            levels.setdefault(ear, []).extend(values)
    mean_rms = {ear: math.fsum(levels[ear]) / len(levels[ear]) for ear in EARS if ear in levels}
    result = manifest.build(shards, _media(usable, skipped, mean_rms, options.encode), mean_rms, plan["options"])
    report = {
        "recordings": len(result.recordings),
        "clips": result.clips,
        "shards": len(result),
        "bytes": int(result.shards["bytes"].sum()),
        "splits": {s: int(result.shards["clips"][result.select(s)].sum()) for s in result.splits},
        "skipped": dict(sorted(skipped.items())),
        "silent": dict(sorted(silent.items())),
        "broken": broken,
        "tail_seconds": {name: round(t, 6) for name, t in sorted(tails.items()) if t > 1e-6},
        "mono": sorted(name for name, r in usable.items() if isinstance(r, Recording) and r.mono and name not in skipped),
        "mean_rms": mean_rms,
        "fingerprint": result.fingerprint,
        "options": plan["options"],
        "resumed": workspace.resumed,
    }
    workspace.publish(result.dump(), report)
    return report


def _media(usable: dict[str, Unit], skipped: dict[str, str], mean_rms: dict[str, float], e: EncodeOptions) -> manifest.Media:
    """What the clips of the set have in common."""
    kept = [unit for name, unit in usable.items() if name not in skipped]
    albums = [unit for unit in kept if isinstance(unit, Album)]
    if albums:
        return manifest.Media(0.0, 0, (0, 0), 0, (), picture="still", sound="", classes=albums[0].classes)
    extras = [kind for kind, there in (("flow", e.flow), ("mask", e.mask)) if there]
    if all(isinstance(unit, Recording) and unit.classes for unit in kept):
        extras.append("labels")
    return manifest.Media(
        clip_seconds=e.seconds,
        frames=0 if e.frames == "copy" else e.count,
        size=(0, 0) if e.frames == "copy" else e.size,
        rate=e.rate,
        pairs=tuple(pair for pair in PAIRS if f"{pair}.L" in mean_rms),
        picture=e.frames,
        sound=e.sound,
        extras=tuple(extras),
    )


def _find(source: Path, layout: str, shares: dict[str, float], options: BuildOptions) -> Sequence[Unit | Refused]:
    """All recordings or albums of the source, and what of it cannot be used."""
    if layout == "images":
        return find_albums(source, shares)
    return sources.find(source, layout, allow_mono=options.allow_mono)


def _pairs(unit: Unit) -> list[str]:
    return sorted(unit.pairs) if isinstance(unit, Recording) else []


def _nameable(found: Unit | Refused) -> Unit | Refused:
    """The unit, or why its name makes no key. Different names make different keys, so nothing can collide after this."""
    if isinstance(found, Refused):
        return found
    try:
        slug(found.name)
    except ValueError as error:
        return Refused(found.name, str(error))
    return found


def _nothing(source: Path, skipped: dict[str, str]) -> str:
    reasons = "; ".join(list(skipped.values())[:3]) + (f"; and {len(skipped) - 3} more" if len(skipped) > 3 else "")
    return f"nothing in {source} could be built: {reasons}"


def _strict(skipped: dict[str, str]) -> str:
    name, reason = next(iter(skipped.items()))
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"--strict: {name} would be skipped{more}: {reason}"


def _plan(
    source: Path, found: Sequence[Unit | Refused], options: BuildOptions, layout: str
) -> tuple[dict[str, Any], dict[str, int], dict[str, tuple[int, int]]]:
    """What identifies a build: its options, and the names and lengths of all that it reads; bytes to read of each unit; length and
    time (ns) of the recordings' files.

    The times of the files are part of the plan, so that a changed source is noticed on resume, but not of the options that the
    manifest keeps: the same content gives the same set wherever and whenever it was copied.
    """
    sizes: dict[str, int] = {}
    seen: dict[str, tuple[int, int]] = {}
    weights: dict[str, int] = {}
    for unit in found:
        if isinstance(unit, Album):  # a million pictures are not asked one by one when they were last changed
            weights[unit.name] = sum(picture.length for picture in unit.pictures)
            sizes |= {f"{picture.source} {picture.label}": picture.length for picture in unit.pictures}
        elif isinstance(unit, Recording):
            facts = {path: path.stat() for path in files(unit)}
            weights[unit.name] = sum(fact.st_size for fact in facts.values())
            seen |= {path.relative_to(source).as_posix(): (fact.st_size, fact.st_mtime_ns) for path, fact in facts.items()}
    sizes |= {name: size for name, (size, _) in seen.items()}
    chosen = asdict(options) | {"layout": layout}
    if layout != "images":
        chosen["encode"]["still"] = None  # the size that was asked for is that of frames
    chosen["source"] = _digest([[f.name for f in found], sizes])
    return (
        {"options": json.loads(json.dumps(chosen)), "times": _digest({name: time for name, (_, time) in seen.items()})},
        weights,
        seen,
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode(errors="surrogateescape")).hexdigest()
