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
from dataio.ingest import deal, schedule, sources, spool
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import Executor, WorkerDiedError
from dataio.ingest.progress import Counter as Count
from dataio.ingest.progress import Progress
from dataio.ingest.sources import Recording, Refused, SourceError
from dataio.ingest.spool import Summary
from dataio.ingest.work import Job, encode_unit, files, write_dealt_shard
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
    found = [_nameable(f) for f in sources.find(source, options.layout, allow_mono=options.allow_mono)]
    twice = [name for name, count in Counter(f.name for f in found).items() if count > 1]
    if twice:
        raise SourceError(f"{source} holds more than one recording {twice[0]}: names without suffix must differ")
    usable = {f.name: f for f in found if isinstance(f, Recording)}
    skipped = {f.name: f.reason for f in found if isinstance(f, Refused)}
    if not usable or (strict and skipped):
        raise SourceError(_nothing(source, skipped) if not usable else _strict(skipped))
    plan, weights = _plan(source, found, options)
    workspace = Workspace(place, plan)
    if workspace.finished:
        return workspace.report() | {"already": True}
    try:
        split_of = deal.splits({name: r.split for name, r in usable.items()}, shares)
        # a shard holds one split, and recordings with the same pairs: a reader that needs the others can leave it out as a whole
        kind_of = {name: (split, *sorted(usable[name].pairs)) for name, split in split_of.items()}
        rows, groups = _groups(workspace, kind_of, usable)
        job = Job(source, place, workspace.work, options.encode)
        count = Count(weights, job.work, on_progress)
        for group in groups:
            for name in group.encoded if group.done is None else [unit.name for unit in group.units]:
                count.before(name)

        def on_unit(unit: Recording, summary: Summary) -> None:
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
    except WorkerDiedError as error:
        workspace.pause()
        raise WorkerDiedError(f"{error}; what is finished stays, and the same command goes on") from error
    except BaseException:
        workspace.pause()
        raise
    return _publish(workspace, [rows[number] for number in sorted(rows)], usable, skipped, plan, options)


def _groups(
    workspace: Workspace, kind_of: dict[str, tuple[str, ...]], usable: dict[str, Recording]
) -> tuple[dict[int, dict[str, Any]], list[schedule.Group[Recording]]]:
    """All groups, with what an earlier run has left of them; rows of those that are finished, by number."""
    rows, groups = {}, []
    left = set(workspace.work.names()) if workspace.resumed else set()
    for number, ((split, *_), names) in enumerate(deal.groups(kind_of)):
        group = schedule.Group(number, split, [usable[name] for name in names])
        if (row := workspace.group(number) if left else None) is not None:
            rows[number] = row
            group.done = len(row["shards"])
            for name in names:  # it may have been killed while it removed them
                if f"{slug(name)}.json" in left:
                    spool.remove(workspace.work, slug(name))
        for name in names if group.done is None else ():
            if f"{slug(name)}.json" in left and (summary := spool.load(workspace.work, slug(name))):
                group.encoded[name] = summary
        groups.append(group)
    return rows, groups


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
        "dropped": {summary.name: summary.dropped for summary in kept if summary.dropped},
    }


def _publish(
    workspace: Workspace,
    rows: Sequence[dict[str, Any]],
    usable: dict[str, Recording],
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
    dropped: dict[str, dict[str, int]] = {}
    for row in rows:
        skipped |= row["skipped"]
        tails |= row["tails"]
        dropped |= row["dropped"]
        for ear, values in row["rms"].items():
            levels.setdefault(ear, []).extend(values)
    mean_rms = {ear: math.fsum(levels[ear]) / len(levels[ear]) for ear in EARS if ear in levels}
    result = manifest.build(shards, _media(usable, skipped, mean_rms, options.encode), mean_rms, plan["options"])
    reasons = Counter(reason for counts in dropped.values() for reason in Counter(counts).elements())
    report = {
        "recordings": len(result.recordings),
        "clips": result.clips,
        "shards": len(result),
        "bytes": int(result.shards["bytes"].sum()),
        "splits": {s: int(result.shards["clips"][result.select(s)].sum()) for s in result.splits},
        "skipped": dict(sorted(skipped.items())),
        "dropped": dict(sorted(reasons.items())),
        "dropped_by_recording": dict(sorted(dropped.items())),
        "tail_seconds": {name: round(t, 6) for name, t in sorted(tails.items()) if t > 1e-6},
        "mono": sorted(name for name, r in usable.items() if r.mono and name not in skipped),
        "mean_rms": mean_rms,
        "fingerprint": result.fingerprint,
        "options": plan["options"],
        "resumed": workspace.resumed,
    }
    workspace.publish(result.dump(), report)
    return report


def _media(usable: dict[str, Recording], skipped: dict[str, str], mean_rms: dict[str, float], e: EncodeOptions) -> manifest.Media:
    """What the clips of the set have in common."""
    extras = [kind for kind, there in (("flow", e.flow), ("mask", e.mask)) if there]
    if all(recording.classes for name, recording in usable.items() if name not in skipped):
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


def _nameable(found: sources.Found) -> sources.Found:
    """The recording, or why its name makes no key. Different names make different keys, so nothing can collide after this."""
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


def _plan(source: Path, found: Sequence[sources.Found], options: BuildOptions) -> tuple[dict[str, Any], dict[str, int]]:
    """What identifies a build: its options, and the names and lengths of every file that it reads; bytes to read of each recording.

    The times of the files are part of the plan, so that a changed source is noticed on resume, but not of the options that the
    manifest keeps: the same content gives the same set wherever and whenever it was copied.
    """
    sizes: dict[str, int] = {}
    times: dict[str, int] = {}
    weights: dict[str, int] = {}
    for recording in found:
        if isinstance(recording, Recording):
            facts = {path: path.stat() for path in files(recording)}
            weights[recording.name] = sum(fact.st_size for fact in facts.values())
            sizes |= {path.relative_to(source).as_posix(): fact.st_size for path, fact in facts.items()}
            times |= {path.relative_to(source).as_posix(): fact.st_mtime_ns for path, fact in facts.items()}
    chosen = asdict(options) | {"layout": sources.detect(source) if options.layout == "auto" else options.layout}
    chosen["source"] = _digest([[f.name for f in found], sizes])
    return {"options": json.loads(json.dumps(chosen)), "times": _digest(times)}, weights


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode(errors="surrogateescape")).hexdigest()
