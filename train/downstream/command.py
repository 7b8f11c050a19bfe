"""What `sonosphere evaluate RUN --task sp|s3r|vr` does."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from train.downstream import DOWNSTREAM
from train.downstream.run import PICTURE, judge
from train.encoder_file import NAME
from train.loop import Result
from train.recipe_file import load_recipe
from train.run_folder import RECIPE

PERCENT = ("miou_foreground", "miou")
"""Figures that are fractions of one."""


def judge_run(
    run: Path, task: str, settings: Sequence[str] = (), *, supervised: bool = False, data: str | None = None, split: str = "val"
) -> tuple[dict[str, Any] | None, Result]:
    """Judge the encoder of a run in RUN/TASK or, supervised, a new one by its recipe in RUN/TASK-supervised; see `judge`.

    Args:
        settings: `section.key=value`, instead of those of the run's recipe.
        data: shards, instead of those of the recipe.

    Raises:
        FileNotFoundError: no run folder, no encoder, no shards. ValueError: a setting.
    """
    if not (run / RECIPE).is_file():
        raise FileNotFoundError(f"{run} is no run folder: it holds no {RECIPE}; `sonosphere train` makes one")
    if not supervised and not (run / NAME).is_file():
        raise FileNotFoundError(
            f"{run} holds no {NAME}, so its training has not ended: go on with `sonosphere train`, "
            "or judge a new encoder with --supervised"
        )
    recipe = load_recipe(run / RECIPE, [*settings, *([f"data.path={json.dumps(data)}"] if data else [])])
    folder = run / (f"{task}-supervised" if supervised else task)
    return judge(recipe, task, folder, encoder=None if supervised else run, split=split)


def sentence(found: dict[str, Any], folder: Path) -> str:
    """One line with the figures, and where the picture is."""
    names = [name for name in found if isinstance(found[name], float) and name != "gallery"]
    told = ", ".join(f"{name} {100 * found[name]:.1f} %" if name in PERCENT else f"{name} {found[name]:.4g}" for name in names)
    merit = DOWNSTREAM[found["task"]]
    better = "more is better" if merit.HIGHER else "less is better"
    picture = f"picture: {folder / PICTURE}" if (folder / PICTURE).exists() else "no picture, for want of Matplotlib"
    return f"{found['task']} on {found['clips']} clips of {found['split']!r}: {told} ({better}); {picture}"


def first_process() -> bool:
    """Whether this process talks, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"
