"""`sonosphere bench ssl`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common import bench, cores, say
from dataio.audit.json_file import check_target, write_json
from dataio.cli.common import JsonOption


@bench.command()
def ssl(
    out: Annotated[Path, typer.Option(help="Folder for everything; an unfinished table in it goes on.")] = Path("runs/ssl"),
    recipe: Annotated[str, typer.Option(help="Recipe of all runs: sound-laptop, sound, or a YAML file.")] = "sound-laptop",
    shards: Annotated[Path | None, typer.Option(help="Your own shards; by default synthetic scenes are made.")] = None,
    recordings: Annotated[int | None, typer.Option(help="Synthetic scenes; default 300.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds: 0, 1, …", min=1)] = 3,
    rows: Annotated[str, typer.Option(help="Rows, by comma, and what they need; or all.")] = "all",
    workers: Annotated[int | None, typer.Option(help="Rows at a time; default: as many as cores.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of all recipes, such as optim.epochs=1.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """The paper's table: four tasks, six ways to combine them and two baselines, by three evaluations, over several seeds.

    Stopped half-way, the same command goes on. Writes table.md, ssl.json and trade-off.png.
    """
    check_target(json_file)
    from benchmarks.ssl.bench import Table, make_table

    wanted = Table(out, recipe, shards, recordings, seeds, tuple(rows.split(",")), workers or cores(), tuple(settings or ()))
    report: dict[str, Any] = make_table(wanted, say)
    print(report["markdown"], end="")
    print(f"pictures and single results: {out}")
    write_json(report, json_file)
