"""`sonosphere train` and `sonosphere evaluate`. Nothing heavy is imported before a command runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

TASKS = ("spatial",)


def register(app: typer.Typer) -> None:
    """Add this room's commands to the front door."""
    app.command()(train)
    app.command()(evaluate)


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe (spatial, spatial-front) or path of a YAML file.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that replace the recipe's.")
    ] = None,
) -> None:
    """Train by a recipe; goes on by itself where the run folder shows that it stopped.

    Also under torchrun: torchrun --nproc-per-node 8 -m sonosphere train RECIPE
    """
    from train.recipe_file import load_recipe

    loaded = load_recipe(recipe, settings or [])

    from train.run import train as run_recipe

    result = run_recipe(loaded)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    task: Annotated[str, typer.Option(help=f"What to evaluate: {', '.join(TASKS)}.")] = "spatial",
    data: Annotated[str | None, typer.Option(help="Shards; by default those it was trained on.")] = None,
    split: Annotated[str, typer.Option(help="Split of the shards.")] = "val",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result there; - for standard output.")] = None,
) -> None:
    """Evaluate a run on recordings that it did not train on."""
    if task not in TASKS:
        raise ValueError(f"--task {task!r} is not known; allowed: {', '.join(TASKS)}")

    from train.evaluate import evaluate_spatial

    result = evaluate_spatial(run, data=data, split=split)
    text = json.dumps(result.as_dict(), indent=2)
    if str(json_file) == "-":
        typer.echo(text)
        return
    if json_file is not None:
        json_file.write_text(text + "\n")
    swapped = result.accuracy_without_sound
    typer.echo(
        f"{result.clips} clips at {result.yaw_classes} yaws: accuracy {result.accuracy:.3f}, with the sound of another recording "
        f"{'not possible (there is one only)' if swapped is None else f'{swapped:.3f}'}, "
        f"with noise for video {result.accuracy_without_video:.3f}"
    )
