"""`sonosphere demo`, `doctor` and `bench …`. Nothing heavy is imported before a command runs."""

import os
from pathlib import Path
from typing import Annotated

import typer

from dataio.audit.json_file import check_target, write_json
from dataio.cli.common import JsonOption, size

bench = typer.Typer(no_args_is_help=True, help="Measure: every figure against a ceiling or a peer of the same run.")


def register(app: typer.Typer) -> None:
    """Add this room's commands to the front door."""
    app.command()(demo)
    app.command()(doctor)
    app.add_typer(bench, name="bench")


def _say(text: str) -> None:
    typer.echo(f"· {text}", err=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def demo(
    seed: Annotated[int, typer.Option(help="Another seed: other scenes, other weights.")] = 0,
    pairs: Annotated[str, typer.Option(help="all: four binaural pairs; front: the front pair alone.")] = "all",
    out: Annotated[Path, typer.Option(help="Folder for everything.")] = Path("runs/demo"),
    recordings: Annotated[int, typer.Option(help="Scenes; fewer are faster and learn less.")] = 110,
    held_out: Annotated[int, typer.Option(help="Of these, scenes kept for the evaluation.")] = 30,
    seconds: Annotated[float, typer.Option(help="Length of a scene.")] = 16.0,
    workers: Annotated[int | None, typer.Option(help="Processes and threads; default: all cores.")] = None,
    control: Annotated[bool, typer.Option("--control", help="Also train on video alone, which must stay at chance.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the recipe, such as optim.epochs=1.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """The whole road on this machine: make scenes, build shards, train, evaluate, and write a report to look at."""
    check_target(json_file)
    from benchmarks.demo import Demo
    from benchmarks.demo import run as run_demo

    wanted = Demo(out, seed, pairs, recordings, held_out, seconds, workers or _cores(), control, tuple(settings or ()))
    report = run_demo(wanted, _say)
    print(
        f"accuracy {report['accuracy']:.1%} on held-out recordings (chance {1 / report['yaw_classes']:.0%}); "
        f"with the sound of another recording {report['accuracy_without_sound']:.1%}, with noise for video "
        f"{report['accuracy_without_video']:.1%}"
    )
    rates = f"{report['clips_per_second']:.0f} clips/s while training, {report['loader_clips_per_second']:.0f} by the loader alone"
    print(f"{rates}; {report['verdict']}")
    print(f"report: {out / 'report.html'}")
    write_json(report, json_file)


def doctor(json_file: JsonOption = None) -> None:
    """What this machine has, what will fall back to what, and why. Exit status 1 if something needed does not work."""
    check_target(json_file)
    from rich.console import Console
    from rich.table import Table

    from benchmarks.doctor import examine

    result = examine()
    table = Table(box=None, show_header=False)
    colour = {"ok": "green", "falls back": "yellow", "missing": "red"}
    for finding in result["findings"]:
        table.add_row(finding["what"], f"[{colour[finding['verdict']]}]{finding['verdict']}[/]", finding["detail"])
    m = result["machine"]
    console = Console(stderr=json_file == "-")
    console.print(
        f"{m['processor']}, {m['cores']} cores, {m['memory_gib']} GiB; Python {m['python']}; torch {m['packages']['torch']}"
    )
    console.print(table)
    write_json(result, json_file)
    if not result["healthy"]:
        raise typer.Exit(1)


@bench.callback()
def _bench() -> None:
    """Measure: every figure against a ceiling or a peer of the same run."""


@bench.command()
def stages(
    shards: Annotated[Path | None, typer.Option(help="A shard set; default: standard clips, synthesised for the occasion.")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames a clip; default: all that are stored.")] = None,
    picture: Annotated[str | None, typer.Option("--size", help="HEIGHTxWIDTH of the batch; default: as stored.")] = None,
    pairs: Annotated[str, typer.Option(help="Pairs, comma-separated; all: all that are stored.")] = "front",
    batch_size: Annotated[int, typer.Option(help="Clips a batch.")] = 16,
    threads: Annotated[int | None, typer.Option(help="Default: all cores.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each contender has its turn.")] = 7,
    device: Annotated[str, typer.Option(help="Of the loader: cpu or cuda.")] = "cpu",
    json_file: JsonOption = None,
) -> None:
    """Each stage of the loader alone, the ceiling that they set, and the loader's share of it."""
    check_target(json_file)
    import tempfile

    from benchmarks.stages import stages as measure
    from dataio.format import manifest
    from dataio.stream.spec import ClipSpec

    with tempfile.TemporaryDirectory() as folder:
        if shards is None:
            from benchmarks.standard import standard_set

            _say("synthesising standard clips: 8 frames of 512x256, four pairs at 96 kHz")
            shards = standard_set(Path(folder))
        media = manifest.load(shards).media
        spec = ClipSpec(
            frames=media.frames if frames is None else frames,
            size=media.size if picture is None else size(picture),
            pairs=media.pairs if pairs == "all" else tuple(p for p in pairs.split(",") if p),
            sound_rate=media.rate,
            yaw_classes=4,
        )
        result = measure(shards, spec, batch_size=batch_size, threads=threads or _cores(), rounds=rounds, device=device, say=_say)
    out = typer.echo if json_file != "-" else _say
    for stage, contenders in result["stages"].items():
        for name, rate in contenders.items():
            mark = "*" if result["fastest"][stage] == name else " "
            out(f"{mark} {stage:12} {name:42} {rate['median']:8.0f} clips/s  ({rate['min']:.0f} – {rate['max']:.0f})")
    out(f"ceiling {result['ceiling']:.0f} clips/s (decode + spectrogram), {result['ceiling_with_rotation']:.0f} with rotation")
    share = f"{result['share']:.0%} of the ceiling, {result['share_with_rotation']:.0%} with rotation"
    out(f"loader {result['loader']:.0f} clips/s: {share}")
    write_json(result, json_file)


@bench.command()
def build(
    source: Annotated[str, typer.Option("--source", metavar="HEIGHTxWIDTH", help="Of the recordings.")] = "960x1920",
    recordings: Annotated[int, typer.Option(help="How many.")] = 8,
    seconds: Annotated[float, typer.Option(help="Length of each.")] = 16.0,
    fps: Annotated[int, typer.Option(help="Of their video.")] = 30,
    gop: Annotated[int, typer.Option(help="Frames from one key frame to the next.")] = 30,
    b_frames: Annotated[int, typer.Option(help="B-frames between two others.")] = 0,
    rounds: Annotated[int, typer.Option(help="How often everything has its turn.")] = 3,
    memory: Annotated[
        float | None, typer.Option(metavar="HOURS", help="Instead: peak memory for one 4K recording of so many hours.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """The builder with one worker and with two, against an ideal one that only decodes, scales, encodes and reads sound."""
    check_target(json_file)
    import tempfile

    out = typer.echo if json_file != "-" else _say
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as folder:
        if memory is not None:
            from benchmarks.builder.memory import memory as measure_memory

            result = measure_memory(Path(folder), hours=memory, size=(1920, 3840), fps=5)
            out(
                f"{result['clips']} clips of a {memory:g} h recording, 3840x1920 at 5 frames/s with B-frames and four pairs at "
                f"48 kHz: {result['above_mib']:.0f} MiB above the {result['imports_mib']:.0f} MiB of the imports"
            )
        else:
            from benchmarks.builder.measure import measure

            result = measure(
                Path(folder),
                source=size(source),
                recordings=recordings,
                seconds=seconds,
                fps=fps,
                gop=gop,
                b_frames=b_frames,
                rounds=rounds,
                say=_say,
            )
            for stage, contenders in result["stages"].items():
                for name, rate in contenders.items():
                    mark = "*" if result["fastest"][stage] == name else " "
                    out(f"{mark} {stage:8} {name:32} {rate['median']:9.1f} clips/s  ({rate['min']:.1f} – {rate['max']:.1f})")
            out(f"ideal {result['ideal']:.2f} clips/s; one worker {result['one_worker']:.2f}: {result['share']:.0%} of it")
            out(f"two workers {result['two_workers']:.2f} clips/s: {result['speed_up']:.2f} times one")
    write_json(result, json_file)


@bench.command()
def index(
    folder: Annotated[Path | None, typer.Option(help="On the disk to be measured; default: the temporary folder.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each contender has its turn.")] = 9,
    scale: Annotated[float, typer.Option(help="Of the number of members; 1 needs 1.7 GB.")] = 1.0,
    json_file: JsonOption = None,
) -> None:
    """Indexing against plain reading and DALI's wds2idx, on the same tars."""
    check_target(json_file)
    import tempfile

    from benchmarks.index import index as measure

    result = measure(folder or Path(tempfile.gettempdir()), rounds=rounds, scale=scale, say=_say)
    out = typer.echo if json_file != "-" else _say
    for name, s in result["sets"].items():
        out(f"{name} ({s['members']} in {s['tars']} tars, {s['bytes'] / 1e9:.2f} GB)")
        for contender, t in s["contenders"].items():
            spread = f"({t['min'] * 1e3:.1f} – {t['max'] * 1e3:.1f})"
            out(f"  {contender:30} {t['median'] * 1e3:8.1f} ms  {spread}  {t['gb_per_s']:.2f} GB/s")
        out(
            f"  with checksums {s['of_read']:.0%} of plain reading and {s['times_wds2idx']:.1f} times as fast as wds2idx; "
            f"headers only {s['headers_times_wds2idx']:.1f} times"
        )
    write_json(result, json_file)
