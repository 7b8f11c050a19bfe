"""Recordings into a shard set: encode in parallel, deal each group's clips over its shards, publish the manifest last."""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dataio.format.clip import slug
from dataio.format.folder import Folder, folder
from dataio.ingest import deal, inputs, schedule, spool
from dataio.ingest.errors import SourceError
from dataio.ingest.executors import Executor, Inline, WorkerDiedError
from dataio.ingest.material import Material, nothing, survey
from dataio.ingest.options import BuildOptions
from dataio.ingest.outcome import group_rows, outcome
from dataio.ingest.progress import Counter, Progress
from dataio.ingest.sources import Recording
from dataio.ingest.spool import Summary
from dataio.ingest.work import Job, Unit, encode_unit, write_dealt_shard
from dataio.ingest.workspace import Workspace

__all__ = ["BuildOptions", "Progress", "build"]


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

    While it runs, it keeps encoded clips in `out` until they are dealt over shards: those of 2 + slots/16 groups of 16 recordings,
    and those of the groups whose shards are being written, which are seldom more. So `out` needs room for the set and, meanwhile,
    for the clips of 64 recordings more, and of 2 a worker.

    A recording at which a worker process dies (a crash of a decoder, no memory) ends the run. The next one encodes those that were
    under way while nothing else runs; the one at which a worker dies again is skipped from then on, by name.

    Returns:
        the report that is also written as `build.json`: counts, what was skipped and why, seconds dropped at the ends. Of a set
        that is already there, the report of its build, with `already` true, and with `touched` true if files of the source were
        changed since and have kept their names and lengths.

    Raises:
        SourceError: the source or the output cannot be used, or no recording could be built; `out` is left as it was. With `strict`
            also: a recording was skipped; what is finished stays.
        OSError: the disk, or the source has disappeared; what is finished stays, and the same command goes on from there.
        WorkerDiedError: a worker was killed; likewise. The message names the recordings that were under way.
    """
    place = folder(out) if isinstance(out, Path | str) else out
    shares = deal.parse_shares(options.split)
    inputs.check_apart(source, place)
    material = survey(source, options, shares)
    if strict and material.skipped:
        raise SourceError(_strict(material.skipped))
    workspace = Workspace(place, material.plan)
    if workspace.finished:
        report = workspace.report()
        if strict and (left := report["skipped"] or {sentence: sentence for sentence in report["broken"]}):
            raise SourceError(_strict(left))
        return report | {"already": True}
    died: list[str] = []
    try:
        rows, groups, suspects = _groups(workspace, material, shares)
        if strict and (refused := _refused(rows, groups) | _broken(rows, groups)):
            raise SourceError(_strict(refused))
        count = Counter(material.weights, workspace.work, on_progress)
        job = Job(source, place, workspace.work, options.encode, count.tick if isinstance(executor, Inline) else None)
        for group in groups:
            for name in group.encoded if group.done is None else [unit.name for unit in group.units]:
                count.before(name)

        def on_unit(unit: Unit, summary: Summary) -> None:
            count.finished(unit.name, summary)
            if strict and (reason := summary.reason or next(iter(summary.broken), None)):
                raise SourceError(_strict({summary.name: reason}))

        def on_death(units: list[Unit]) -> None:
            for unit in units:
                spool.blame(workspace.work, slug(unit.name))
                died.append(unit.name)

        work = schedule.Work[Unit](
            encode=(encode_unit, (job,)),
            write=(write_dealt_shard, (job,)),
            name=lambda unit: unit.name,
            weight=lambda unit: material.weights[unit.name],
            count=lambda kept: math.ceil(sum(summary.bytes for summary in kept) / options.shard_bytes),
            alone=suspects,
        )
        told = schedule.Told[Unit](lambda unit: count.begun(unit.name), on_unit, count.tick, on_death)
        with closing(schedule.run(executor, groups, work, told)) as finished:
            for done in finished:
                rows[done.group.number] = group_rows(done)
                workspace.finish_group(done.group.number, rows[done.group.number], [summary.slug for summary in done.summaries])
        if not any(row["shards"] for row in rows.values()):
            workspace.abandon()
            raise SourceError(nothing(source, material.skipped | _refused(rows, groups)))
        material.check()
        result, report = outcome([rows[number] for number in sorted(rows)], material, options.encode, resumed=workspace.resumed)
        workspace.publish(result.dump(), report)
        return report
    except WorkerDiedError as error:
        workspace.pause()
        raise WorkerDiedError(f"{error}{_under_way(died)}; what is finished stays, and the same command goes on") from error
    except BaseException:
        workspace.pause()
        raise


def _groups(
    workspace: Workspace, material: Material, shares: dict[str, float]
) -> tuple[dict[int, dict[str, Any]], list[schedule.Group[Unit]], set[str]]:
    """All groups, with what an earlier run has left of them; rows of those that are finished, by number; and suspects: the names of
    units that were under way when a worker died.
    """
    # a shard holds one split, and recordings with the same pairs: a reader that needs the others can leave it out as a whole
    kind_of = {name: (split, *_pairs(material.units[name])) for name, split in material.splits(shares).items()}
    rows, groups, suspects = {}, [], set()
    left, work = workspace.left, workspace.work
    for number, ((split, *_), names) in enumerate(deal.groups(kind_of)):
        group = schedule.Group(number, split, [material.units[name] for name in names])
        if (row := workspace.group(number)) is not None:
            rows[number] = row
            group.done = len(row["shards"])
            # it may have been killed while it removed them
            spool.remove(work, [slug(name) for name in names if f"{slug(name)}.{spool.SUMMARY}" in left])
        for name in names if group.done is None and left else ():
            if f"{slug(name)}.{spool.SUMMARY}" in left and (summary := spool.load(work, slug(name))):
                group.encoded[name] = summary
            elif f"{slug(name)}.{spool.DEATHS}" in left and (count := spool.deaths(work, slug(name))):
                suspects.add(name)
                if count > 1:
                    reason = f"{name}: a worker process died at it twice: it crashed, ran out of memory, or was killed"
                    group.encoded[name] = Summary(slug(name), name, reason=reason)
        groups.append(group)
    return rows, groups, suspects


def _under_way(names: Sequence[str]) -> str:
    """Which recordings to look at when a worker has died."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"; under way: {', '.join(names[:5])}{more}" if names else ""


def _refused(rows: dict[int, dict[str, Any]], groups: Sequence[schedule.Group[Unit]]) -> dict[str, str]:
    """Units that an earlier run left out, and why."""
    left = [summary for group in groups for summary in group.encoded.values()]
    refused = {summary.name: summary.reason for summary in left if summary.reason is not None}
    return refused | {name: reason for row in rows.values() for name, reason in row["skipped"].items()}


def _broken(rows: dict[int, dict[str, Any]], groups: Sequence[schedule.Group[Unit]]) -> dict[str, str]:
    """Pictures that an earlier run left out, each by the sentence that tells why."""
    sentences = [sentence for row in rows.values() for sentence in row["broken"]]
    sentences += [sentence for group in groups for summary in group.encoded.values() for sentence in summary.broken]
    return {sentence: sentence for sentence in sentences}


def _pairs(unit: Unit) -> list[str]:
    return sorted(unit.pairs) if isinstance(unit, Recording) else []


def _strict(skipped: dict[str, str]) -> str:
    name, reason = next(iter(skipped.items()))
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"--strict: {name} would be skipped{more}: {reason}"
