"""`sonosphere train` and `sonosphere evaluate`. Nothing heavy is imported before a command runs."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

TASKS = ("spatial", "sp", "s3r", "vr")


def register(app: typer.Typer) -> None:
    """Add this room's commands to the front door."""
    app.command()(train)
    app.command()(evaluate)


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe (spatial, sound-laptop, …) or path of a YAML file.")],
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
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="sp, s3r, vr: settings that replace those of the run's recipe."),
    ] = None,
    task: Annotated[str, typer.Option(help=f"What to evaluate: {', '.join(TASKS)}.")] = "spatial",
    supervised: Annotated[
        bool,
        typer.Option(
            "--supervised",
            help="sp, s3r, vr: train a new encoder with the head, by the recipe of RUN: what learning from truth alone comes to.",
        ),
    ] = False,
    data: Annotated[str | None, typer.Option(help="Shards; by default those it was trained on.")] = None,
    split: Annotated[str, typer.Option(help="Split of the shards whose clips are held out.")] = "val",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result there; - for standard output.")] = None,
) -> None:
    """Evaluate a run on recordings that it did not train on.

    spatial: which way was the picture turned against the sound? The run's own heads, with controls; needs a run of that task.

    The others judge the sound encoder of any run, frozen. They train a head for it in RUN/TASK (RUN/TASK-supervised), go on where
    that stopped, and write result.json and figure.png there; a finished one is judged again at once.

    sp: semantic prediction. What sounds where? A map of classes over the sphere, from sound alone. Figure of merit: mIoU over the
    true foreground. Needs class maps beside the recordings (`labels`).

    s3r: spatial sound super resolution. What would other pairs of ears hear? From the pair of data.pairs to those of
    downstream.targets. Figure of merit: STFT distance. Needs those pairs.

    vr: video retrieval. Which of all held-out clips does a sound belong to? Figure of merit: percent of sounds whose clip is among
    the first 10. Needs pictures and sound only.

    Also under torchrun: torchrun --nproc-per-node 8 -m sonosphere evaluate RUN --task sp
    """
    if task not in TASKS:
        raise ValueError(f"--task {task!r} is not known; allowed: {', '.join(TASKS)}")
    if task == "spatial":
        if settings or supervised:
            given = "--supervised" if supervised else f"{settings[0]!r}" if settings else ""
            raise ValueError(f"{given} is for --task sp, s3r or vr: spatial evaluates the run's own heads as they are")
        _spatial(run, data, split, json_file)
        return
    from train.downstream.command import first_process, judge_run, sentence

    found, result = judge_run(run, task, settings or [], supervised=supervised, data=data, split=split)
    if found is None:
        raise typer.Exit(result.exit_code)
    if first_process():
        _tell(found, sentence(found, result.run), json_file)


def _spatial(run: Path, data: str | None, split: str, json_file: Path | None) -> None:
    from train.evaluate import evaluate_spatial

    result = evaluate_spatial(run, data=data, split=split)
    swapped = result.accuracy_without_sound
    _tell(
        result.as_dict(),
        f"{result.clips} clips at {result.yaw_classes} yaws: accuracy {result.accuracy:.3f}, with the sound of another recording "
        f"{'not possible (there is one only)' if swapped is None else f'{swapped:.3f}'}, "
        f"with noise for video {result.accuracy_without_video:.3f}",
        json_file,
    )


def _tell(result: dict[str, Any], line: str, json_file: Path | None) -> None:
    """The result as JSON on standard output, or in a file and the line on standard output."""
    text = json.dumps(result, indent=2)
    if str(json_file) == "-":
        typer.echo(text)
        return
    if json_file is not None:
        json_file.write_text(text + "\n")
    typer.echo(line)
