"""`sonosphere shards …`: recordings into shards. Nothing heavy is imported before a command runs."""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Make shards from recordings, and look into them.")

JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON; - for standard output.")
]


def size(text: str) -> tuple[int, int]:
    """`256x512` → (256, 512): height, then width.

    Raises:
        ValueError: another form.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise ValueError(f"size {text!r} should be HEIGHTxWIDTH, such as 256x512")
    return int(match[1]), int(match[2])


def write_json(result: dict[str, Any], target: str | None) -> None:
    """Write a result where `--json` says; nothing for None."""
    if target is None:
        return
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    if target == "-":
        print(text, end="")
    else:
        Path(target).write_text(text)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Any]:
    """A rich progress bar on standard error, with the time left; yields `update(done, note, total)`.

    It wipes itself out at the end. Where standard error is no terminal, a line every half minute takes its place.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console, transient=True) as bar:
        task = bar.add_task(what, total=total, note="")
        yield lambda done, note="", total=total: bar.update(task, completed=done, total=total, note=note)


def _lines(what: str, total: int) -> Any:
    begin = last = time.monotonic()

    def update(done: float, note: str = "", total: float = total) -> None:
        nonlocal last
        if (now := time.monotonic()) - last < 30:
            return
        last = now
        left = f", {timedelta(seconds=round((now - begin) * (total - done) / done))} left" if done else ""
        print(f"{what}: {done / total:.0%}{left}{'; ' + note if note else ''}", file=sys.stderr, flush=True)

    return update


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="Folder for the recordings; new, empty, or an earlier run's.")],
    recordings: Annotated[int, typer.Option(help="How many scenes.")] = 8,
    seconds: Annotated[float, typer.Option(help="Length of each.")] = 16.0,
    seed: Annotated[int, typer.Option(help="Another seed, other scenes.")] = 0,
    picture: Annotated[str, typer.Option("--size", help="HEIGHTxWIDTH of the video.")] = "128x256",
    fps: Annotated[int, typer.Option(help="Frames per second of the video.")] = 8,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
) -> None:
    """Write synthetic 360° scenes with eight-ear sound and known truth, as raw recordings for `build`."""
    from dataio.ingest.scenes import write_recordings

    with progress_bar("scenes", recordings) as update:
        done = [0]

        def on_done(name: str) -> None:
            done[0] += 1
            update(done[0], name)

        write_recordings(
            out, recordings=recordings, seconds=seconds, seed=seed, size=size(picture), fps=fps, workers=workers, on_done=on_done
        )
    print(f"{recordings} recordings of {seconds:g} s in {out}; next: sonosphere shards build {out} SHARDS")


@app.command()
def build(
    source: Annotated[Path, typer.Argument(help="Folder of raw recordings, or of pictures. It is only ever read.")],
    out: Annotated[
        str, typer.Argument(help="Folder or URL (s3://…) for the shards: new, empty, or an unfinished build of the same.")
    ],
    layout: Annotated[
        str, typer.Option(help="auto, folder (video + sound paired by name), omniaudio, yt360, images or synthetic.")
    ] = "auto",
    picture: Annotated[
        str | None, typer.Option("--size", help="HEIGHTxWIDTH of the stored frames; default 256x512, and as they are for images.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames stored per second.")] = 4.0,
    frames: Annotated[
        str,
        typer.Option(
            help="jpeg (each a member: random access), h264, hevc, vp9, av1 (one container a clip) or copy (as recorded)."
        ),
    ] = "jpeg",
    quality: Annotated[int, typer.Option(help="1 … 100, of JPEGs and, by a table, of the codecs.")] = 90,
    gop: Annotated[int, typer.Option(help="For the codecs: frames from one key frame to the next.")] = 8,
    sound: Annotated[str, typer.Option(help="pcm (a window is one read), or flac (smaller, decoded whole).")] = "pcm",
    rate: Annotated[int, typer.Option(help="Sample rate of the stored sound, Hz.")] = 96_000,
    clip_seconds: Annotated[float, typer.Option(help="Length of a clip.")] = 2.0,
    flow: Annotated[bool, typer.Option("--flow", help="Also store the motion between two frames of every clip.")] = False,
    mask: Annotated[bool, typer.Option("--mask", help="Also store what moves in front of the background.")] = False,
    silence: Annotated[
        float | None,
        typer.Option(help="Leave out clips this many dB quieter than their recording's mean (the paper's authors: 17)."),
    ] = None,
    split: Annotated[str, typer.Option(help="Shares of the recordings; a recording is never divided.")] = "train=0.8,val=0.2",
    shard_bytes: Annotated[int, typer.Option(help="Size of a shard to aim at.")] = 256 * 2**20,
    allow_mono: Annotated[
        bool, typer.Option("--allow-mono", help="Copy a mono track to both ears instead of refusing it.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a recording that cannot be used.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that encode.")] = 1,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Work on this Ray cluster instead (auto: this machine's)."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Turn recordings into shards. Stopped half-way, the same command goes on where it was.

    A recording that cannot be used is skipped, counted and named. The set exists when its manifest is written, as the last act.
    """
    from dataio.ingest.build import BuildOptions, Progress
    from dataio.ingest.build import build as run
    from dataio.ingest.encode import EncodeOptions
    from dataio.ingest.executors import executor

    encode = EncodeOptions(
        seconds=clip_seconds,
        fps=fps,
        size=size(picture) if picture else (256, 512),
        still=size(picture) if picture else None,
        rate=rate,
        quality=quality,
        frames=frames,  # type: ignore[arg-type]  # checked there
        gop=gop,
        sound=sound,  # type: ignore[arg-type]
        flow=flow,
        mask=mask,
        silence=silence,
    )
    options = BuildOptions(encode=encode, layout=layout, split=split, shard_bytes=shard_bytes, allow_mono=allow_mono)
    with progress_bar("build", 1000) as update:

        def on_progress(p: Progress) -> None:
            rates = f"{p.clips / max(1e-3, p.seconds):.1f} clips/s, {p.bytes / max(1e-3, p.seconds) / 2**20:.1f} MiB/s"
            note = f"{p.done} of {p.total}, {p.clips} clips, {rates}" + (f"; skipped {p.name}" if p.skipped else "")
            update(int(1000 * p.share), note)

        try:
            report = run(source, out, options, executor(workers, ray), on_progress, strict=strict)
        except KeyboardInterrupt:
            print("interrupted; what is finished stays, and the same command goes on", file=sys.stderr)
            raise typer.Exit(130) from None
    for name, reason in report["skipped"].items():
        print(f"skipped {name}: {reason}", file=sys.stderr)
    splits = ", ".join(f"{count} {name}" for name, count in report["splits"].items())
    tail = sum(report["tail_seconds"].values())
    if report["broken"]:
        print(f"left out {len(report['broken'])} broken pictures, the first: {report['broken'][0]}", file=sys.stderr)
    silent = sum(report["silent"].values())
    dropped = f"; {silent} silent clips left out" if silent else ""
    if json_file != "-":
        print(
            f"{report['clips']} clips ({splits}) of {report['recordings']} recordings in {report['shards']} shards, "
            f"{report['bytes'] / 2**20:.1f} MiB; {len(report['skipped'])} skipped; {tail:.2f} s at the ends dropped{dropped}"
            + ("; it was there already, nothing was done" if report.get("already") else "")
        )
    write_json(report, json_file)


@app.command()
def verify(
    shards: Annotated[Path, typer.Argument(help="Folder of a shard set.")],
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

    with progress_bar("shards", 1) as update:
        audit = run(shards, local(workers), deep=deep, on_shard=lambda done, total: update(done, "", total))
    if audit.problems:
        print(first_lines(audit.problems), file=sys.stderr)
    verdict = f"{len(audit.problems)} problems" if audit.problems else "everything is right"
    if audit.unchecked:
        verdict += f"; {audit.unchecked} shards hold no checksums, so only their structure was checked"
    if json_file != "-":
        print(f"{audit.shards} shards, {audit.clips} clips, {audit.members} members, {audit.bytes / 2**20:.1f} MiB: {verdict}")
    write_json(audit.as_dict(), json_file)
    if audit.problems:
        raise typer.Exit(1)


@app.command()
def index(
    shards: Annotated[Path, typer.Argument(help="Folder of WebDataset tars, whoever made them.")],
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

    with progress_bar("tars", 1) as update:
        report = reindex(
            shards,
            local(workers),
            split=split,
            headers_only=headers_only,
            replace=replace,
            on_tar=lambda done, total: update(done, "", total),
        )
    for sentence in report["refused"].values():
        print(f"refused {sentence}", file=sys.stderr)
    if json_file != "-":
        what = f"{report['shards']} tars, {report['clips']} samples, {report['members']} members, {report['bytes'] / 2**20:.1f} MiB"
        print(f"{what}: {'indexed' if report['written'] else 'not all right; the manifest stays as it was'}")
    write_json(report, json_file)
    if not report["ok"]:
        raise typer.Exit(1)


@app.command()
def info(shards: Annotated[Path, typer.Argument(help="Folder of a shard set.")], json_file: JsonOption = None) -> None:
    """What a set holds, from its manifest alone."""
    from dataio.audit.facts import facts, table
    from dataio.format import manifest

    found = facts(manifest.load(shards))
    if json_file != "-":
        from rich.console import Console

        Console().print(table(found))
    write_json(found, json_file)


@app.command()
def inspect(
    shards: Annotated[Path, typer.Argument(help="Folder of a shard set.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file; default: SHARDS-inspect.html in the current folder.")] = None,
    clips: Annotated[int, typer.Option(help="Clips to show, of as many recordings as there are.")] = 6,
    seed: Annotated[int, typer.Option(help="Another seed, other clips.")] = 0,
) -> None:
    """Write a report on a set as one HTML file: clips to see and hear, how it is spread and mixed, what was left out."""
    from dataio.audit.inspect import inspect as run
    from dataio.format.atomic import write_file

    target = Path(f"{shards.resolve().name}-inspect.html") if out is None else out
    if target.resolve().parent == shards.resolve():
        raise ValueError(f"{target} would lie inside the set, where `verify` takes it for a stray file: choose another folder")
    if target.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{target} should end in .html: nothing else is overwritten")
    html = run(shards, clips=clips, seed=seed).encode()
    write_file(target, html)
    print(f"{target}, {len(html) / 2**20:.1f} MiB")


@app.command()
def stats(
    shards: Annotated[Path, typer.Argument(help="Folder of a shard set.")],
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

    with progress_bar("shards", 1) as update:
        report = run(shards, local(workers), origin=origin, write=write, on_shard=lambda d, t: update(d, "", t))  # type: ignore[arg-type]
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
