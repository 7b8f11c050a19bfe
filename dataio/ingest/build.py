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
    inputs.check_apart(source, place)
    material = survey(source, options, shares)
    if strict and material.skipped:
        raise SourceError(_strict(material.skipped))
    workspace = Workspace(place, material.plan)
    if workspace.finished:
        report = workspace.report()
        if strict and report.get("skipped"):
            raise SourceError(_strict(report["skipped"]))
        return report | {"already": True}
    try:
        rows, groups = _groups(workspace, material, shares)
        if strict and (refused := _refused(rows, groups)):
            raise SourceError(_strict(refused))
        count = Counter(material.weights, workspace.work, on_progress)
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
            weight=lambda unit: material.weights[unit.name],
            name=lambda unit: unit.name,
            count=lambda kept: math.ceil(sum(summary.bytes for summary in kept) / options.shard_bytes),
            on_unit=on_unit,
            on_wait=count.tick,
        )
        with closing(finished):
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
        raise WorkerDiedError(f"{error}; what is finished stays, and the same command goes on") from error
    except BaseException:
        workspace.pause()
        raise


def _groups(
    workspace: Workspace, material: Material, shares: dict[str, float]
) -> tuple[dict[int, dict[str, Any]], list[schedule.Group[Unit]]]:
    """All groups, with what an earlier run has left of them; rows of those that are finished, by number."""
    # a shard holds one split, and recordings with the same pairs: a reader that needs the others can leave it out as a whole
    kind_of = {name: (split, *_pairs(material.units[name])) for name, split in material.splits(shares).items()}
    rows, groups = {}, []
    left = set(workspace.work.names()) if workspace.resumed else set()
    for number, ((split, *_), names) in enumerate(deal.groups(kind_of)):
        group = schedule.Group(number, split, [material.units[name] for name in names])
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


def _pairs(unit: Unit) -> list[str]:
    return sorted(unit.pairs) if isinstance(unit, Recording) else []


def _strict(skipped: dict[str, str]) -> str:
    name, reason = next(iter(skipped.items()))
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"--strict: {name} would be skipped{more}: {reason}"
