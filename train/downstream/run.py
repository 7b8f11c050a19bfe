"""From a run folder to figures on held-out clips: train the head, then judge it."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.encoders import Frozen
from train.data import validation_loader
from train.downstream import DOWNSTREAM
from train.downstream.base import Downstream
from train.encoder_file import load_encoder
from train.interrupt import Interrupt
from train.loop import Result, fit
from train.objectives.base import new_encoder
from train.recipe import Recipe
from train.world import World, join_world, torch_threads

RESULT = "result.json"


def judge(recipe: Recipe, task: str, folder: Path, *, encoder: Path | None) -> tuple[dict[str, Any] | None, Result]:
    """Train the head of an evaluation in `folder`, or go on with it, and evaluate it on the validation split.

    Args:
        recipe: data, sizes and `downstream`.
        task: a name in DOWNSTREAM.
        encoder: folder of the run whose encoder is judged, frozen; None: a new one that learns with the head (fully supervised).

    Returns:
        the result, which folder/result.json holds too (None if the training was interrupted), and how the training went.

    Raises:
        FileNotFoundError, ValueError: the run, the shards, or a setting.
    """
    recipe = recipe.model_copy(update={"run": folder})

    def make() -> Downstream:
        sound: nn.Module = Frozen(load_encoder(encoder)) if encoder is not None else new_encoder(recipe)
        return DOWNSTREAM[task](recipe, sound)

    with torch_threads(recipe.compute_threads), join_world(recipe.device) as world, Interrupt() as interrupt:
        settings = recipe.downstream
        epochs = {"epochs": settings.epochs[task], "steps": None} if task in settings.epochs else {}  # type: ignore[index]
        optim, split = settings.optim.model_copy(update=epochs), settings.splits.get(task, "train")  # type: ignore[call-overload]
        objective, result = fit(make, recipe, world, interrupt, optim=optim, split=split)
        if result.exit_code:
            return None, result
        figures, _ = evaluate(objective, recipe, world)  # type: ignore[arg-type]
    found = {
        "task": task,
        "encoder": str(encoder) if encoder else "supervised",
        "seed": recipe.seed,
        "steps": result.total,
        **figures,
    }
    (folder / RESULT).write_text(json.dumps(found, indent=2) + "\n")
    return found, result


@torch.no_grad()
def evaluate(objective: Downstream, recipe: Recipe, world: World) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The figures on the validation split, and what they were made of."""
    objective.eval()
    with validation_loader(recipe, world, objective.FIELDS) as loader:
        notes = [objective.note(batch) for batch in loader]
    objective.train()
    return objective.figures(notes), notes
