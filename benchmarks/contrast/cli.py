"""`sonosphere bench contrast`."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common import bench, cores, say
from dataio.audit.json_file import check_target, write_json
from dataio.cli.common import JsonOption


@bench.command()
def contrast(
    out: Annotated[Path, typer.Option(help="Folder for everything; what is unfinished in it goes on.")] = Path("runs/contrast"),
    recipe: Annotated[str, typer.Option(help="Recipe of all runs: images-laptop, images, or a YAML file.")] = "images-laptop",
    pictures: Annotated[int | None, typer.Option(help="Synthetic pictures; default 6000.", min=500)] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds: 0, 1, …", min=1)] = 1,
    rows: Annotated[
        str | None, typer.Option(help="By comma: random, moco, densecl, moco-densecl, densecl-moco; default: all.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of all recipes, such as optim.epochs=1.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Contrastive learning on pictures whose truth is known: MoCo-v2, DenseCL, and both, against a random network.

    Judged by k-NN over 20 classes of a shape and a texture, and by a dense probe: a linear classifier on the cells of the feature
    maps of scenes. About ten minutes a run on two cores. Stopped half-way, the same command goes on. Writes contrast.json,
    curve.png and cells.png.
    """
    check_target(json_file)
    from benchmarks.contrast.bench import ROWS, Plan, markdown
    from benchmarks.contrast.bench import contrast as measure
    from benchmarks.contrast.material import PICTURES

    names = tuple(rows.split(",")) if rows else tuple(row.name for row in ROWS)
    plan = Plan(out, recipe, pictures or PICTURES, seeds, names, cores(), tuple(settings or ()))
    report = measure(plan, say)
    print(markdown(report), end="")
    print(f"pictures and single results: {out}")
    write_json(report, json_file)
