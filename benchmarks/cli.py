"""`sonosphere demo`, `doctor` and `bench …`. Nothing heavy is imported before a command runs."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common import bench, cores, say
from dataio.audit.json_file import check_target, write_json
from dataio.cli.common import JsonOption


def register(app: typer.Typer) -> None:
    """Add this room's commands to the front door."""
    import benchmarks.builder.cli
    import benchmarks.contrast.cli
    import benchmarks.loader.cli
    import benchmarks.ssl.cli  # noqa: F401  each adds its commands to `bench`

    app.command()(demo)
    app.command()(doctor)
    app.add_typer(bench, name="bench")


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

    wanted = Demo(out, seed, pairs, recordings, held_out, seconds, workers or cores(), control, tuple(settings or ()))
    report = run_demo(wanted, say)
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
