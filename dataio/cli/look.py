"""`shards verify`, `index`, `info`, `inspect` and `stats`: what has become of them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dataio.audit.json_file import check_target, write_json
from dataio.audit.report import printable
from dataio.cli.common import JsonOption, ShardsArgument, on_disk, progress_bar


def verify(
    shards: ShardsArgument,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also decode every member and check sizes, rates, lengths and time stamps.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    json_file: JsonOption = None,
) -> None:
    """Hold every tar, index and checksum of a set against each other. Exit status 0 only if everything is right."""
    from dataio.audit.report import first_lines
    from dataio.audit.verify import verify as run
    from dataio.ingest.executors import local

    folder = on_disk(shards, "verify")
    check_target(json_file, folder)
    with progress_bar("shards", 1) as update:
        audit = run(folder, local(workers), deep=deep, on_shard=lambda done, total: update(done, "", total))
    for said in (audit.problems, audit.notes):
        if said:
            print(first_lines(said), file=sys.stderr)
    verdict = f"{len(audit.problems)} problems" if audit.problems else "everything is right"
    if audit.unchecked:
        verdict += f"; {audit.unchecked} shards hold no checksums, so only their structure was checked"
    if json_file != "-":
        print(f"{audit.shards} shards, {audit.clips} clips, {audit.members} members, {audit.bytes / 2**20:.1f} MiB: {verdict}")
    write_json(audit.as_dict(), json_file)
    if audit.problems:
        raise typer.Exit(1)


def index(
    shards: Annotated[str, typer.Argument(help="Folder of WebDataset tars, whoever made them.")],
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Read headers and first bytes alone: fast, without checksums.")
    ] = False,
    split: Annotated[str, typer.Option(help="Split of tars whose clips do not name theirs.")] = "train",
    replace: Annotated[bool, typer.Option("--replace", help="Take the tars as they are, whatever an older manifest says.")] = False,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    json_file: JsonOption = None,
) -> None:
    """Write idx, index and manifest for the tars of a folder. Exit status 0 only if every tar could be indexed."""
    from dataio.audit.reindex import reindex
    from dataio.ingest.executors import local

    folder = on_disk(shards, "index")
    check_target(json_file, folder)
    with progress_bar("tars", 1) as update:
        report = reindex(
            folder,
            local(workers),
            split=split,
            headers_only=headers_only,
            replace=replace,
            on_tar=lambda done, total: update(done, "", total),
        )
    for sentence in report["refused"].values():
        print(printable(f"refused {sentence}"), file=sys.stderr)
    if json_file != "-":
        what = f"{report['shards']} tars, {report['clips']} samples, {report['members']} members, {report['bytes'] / 2**20:.1f} MiB"
        print(f"{what}: {'indexed' if report['written'] else 'not all right; the manifest stays as it was'}")
    write_json(report, json_file)
    if not report["ok"]:
        raise typer.Exit(1)


def info(shards: ShardsArgument, json_file: JsonOption = None) -> None:
    """What a set holds, from its manifest alone."""
    from dataio.audit.facts import facts, table
    from dataio.format import manifest

    folder = on_disk(shards, "info")
    check_target(json_file, folder)
    found = facts(manifest.load(folder))
    if json_file != "-":
        from rich.console import Console

        Console().print(table(found))
    write_json(found, json_file)


def inspect(
    shards: ShardsArgument,
    out: Annotated[Path | None, typer.Option(help="The HTML file; default: SHARDS-inspect.html in the current folder.")] = None,
    clips: Annotated[int, typer.Option(help="Clips to show, of as many recordings as there are.")] = 6,
    seed: Annotated[int, typer.Option(help="Another seed, other clips.")] = 0,
) -> None:
    """Write a report on a set as one HTML file: clips to see and hear, how it is spread and mixed, what was left out."""
    from dataio.audit.inspect import inspect as run
    from dataio.format.atomic import write_file

    folder = on_disk(shards, "inspect")
    target = Path(f"{folder.resolve().name}-inspect.html") if out is None else out
    if target.resolve().parent == folder.resolve():
        raise ValueError(f"{target} would lie inside the set, where `verify` takes it for a stray file: choose another folder")
    if target.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{target} should end in .html: nothing else is overwritten")
    html = run(folder, clips=clips, seed=seed).encode()
    write_file(target, html)
    print(f"{target}, {len(html) / 2**20:.1f} MiB")


def stats(
    shards: ShardsArgument,
    origin: Annotated[
        str, typer.Option("--from", help="json (what the clips say of themselves) or pcm (from every sample of the sound).")
    ] = "json",
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    write: Annotated[
        bool, typer.Option("--write", help="Put the levels into the manifest. Its fingerprint changes: saved states no longer fit.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Recompute the mean RMS of every ear, and hold it against the manifest's. Exit status 0 if they agree, or are written."""
    from dataio.audit.facts import level, plain
    from dataio.audit.stats import stats as run
    from dataio.ingest.executors import local

    folder = on_disk(shards, "stats")
    check_target(json_file, folder)
    with progress_bar("shards", 1) as update:
        report = run(folder, local(workers), origin=origin, write=write, on_shard=lambda d, t: update(d, "", t))  # type: ignore[arg-type]
    for problem in report["problems"][:20]:
        print(plain(problem), file=sys.stderr)
    if json_file != "-":
        for ear, e in report["ears"].items():
            difference = "" if e["difference"] is None else f"{e['difference']:+.3g} against the manifest"
            mean = "not found" if e["mean_rms"] is None else f"{e['mean_rms']:.9f}  {level(e['mean_rms_dbfs'])}"
            print(f"{plain(ear):8} {mean}  {e['clips']} clips  {difference}".rstrip())
        verdict = "the manifest agrees" if report["agrees"] else "the manifest differs"
        print(f"{verdict}; written, the fingerprint is now {report['fingerprint']}" if report["written"] else verdict)
    write_json(report, json_file)
    if not (report["agrees"] or report["written"]):
        raise typer.Exit(1)
