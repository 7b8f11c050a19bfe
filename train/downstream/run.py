"""From a run folder to figures on held-out clips: train the head, then judge it."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from dataio.stream.spec import SpecError
from models.encoders import Frozen
from train.downstream import DOWNSTREAM
from train.downstream.base import Downstream
from train.downstream.claim import check_head
from train.downstream.held_out import Notes, collect, held_out_loader
from train.encoder_file import load_encoder
from train.interrupt import Interrupt
from train.loop import Result, fit
from train.modality import SOUND
from train.recipe import Recipe
from train.world import World, join_world, torch_threads

RESULT, PICTURE = "result.json", "figure.png"


def judge(
    recipe: Recipe, task: str, folder: Path, *, encoder: Path | None, split: str = "val"
) -> tuple[dict[str, Any] | None, Result]:
    """Train the head of an evaluation in `folder`, or go on with it, and evaluate it on held-out clips.

    Args:
        recipe: data, sizes and `downstream`.
        task: a name in DOWNSTREAM.
        encoder: folder of the run whose encoder is judged, frozen; None: a new one that learns with the head (fully supervised).
        split: of the held-out clips.

    Returns:
        the result, which folder/result.json holds too, beside folder/figure.png (None if the training was interrupted), and how the
        training went. Of several processes all return it, and the first writes.

    Raises:
        FileNotFoundError, ValueError: the run, the shards, or a setting.
    """
    recipe, settings = recipe.model_copy(update={"run": folder}), recipe.downstream
    learns_from = settings.splits.get(task, "train")  # type: ignore[call-overload]
    if split == learns_from:
        raise ValueError(f"split={split!r} is what the head of {task} learns from (downstream.splits): judge it on another")
    frozen = None if encoder is None else load_encoder(encoder)
    if frozen is not None and (wrong := SOUND.fits(frozen.description, recipe)):
        raise ValueError(f"the encoder {wrong}")
    check_head(recipe, task, frozen)

    def make() -> Downstream:
        return DOWNSTREAM[task](recipe, SOUND.untrained(recipe) if frozen is None else Frozen(frozen))

    with torch_threads(recipe.compute_threads), join_world(recipe.device) as world, Interrupt() as interrupt:
        epochs = {"epochs": settings.epochs[task], "steps": None} if task in settings.epochs else {}  # type: ignore[index]
        try:
            objective, result = fit(
                make, recipe, world, interrupt, optim=settings.optim.model_copy(update=epochs), split=learns_from
            )
            if result.exit_code:
                return None, result
            figures, notes = evaluate(objective, recipe, world, split=split)  # type: ignore[arg-type]
        except SpecError as error:
            raise SpecError(f"{recipe.data.path} does not do for {task}: {error}") from error
        found = {
            "task": task,
            "encoder": str(encoder) if encoder else "supervised",
            "seed": recipe.seed,
            "steps": result.total,
            "data": recipe.data.path,
            "split": split,
            "clips": len(notes.rows["clip"]),
            **figures,
        }
        if world.first:
            temporary = folder / (RESULT + ".tmp")
            temporary.write_text(json.dumps(found, indent=2) + "\n")
            temporary.replace(folder / RESULT)
            with suppress(ModuleNotFoundError):  # no Matplotlib, as on a machine that only computes: the figures are there
                objective.draw(notes.rows, notes.shown, folder / PICTURE)  # type: ignore[operator]
    return found, result


def evaluate(objective: Downstream, recipe: Recipe, world: World, *, split: str = "val") -> tuple[dict[str, float], Notes]:
    """The figures on a split, in float32, and what they were made of; the same on all processes."""
    with held_out_loader(recipe, world, objective, split=split) as loader:
        notes = collect(objective, loader, world)
    return objective.figures(notes.rows), notes
