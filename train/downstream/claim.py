"""Does the head that a folder holds belong to what is asked for? A finished one is not trained again, so it must."""

import torch
from torch import nn

from train.checkpoint import load_checkpoint
from train.recipe import Recipe, flat
from train.recipe_file import load_recipe
from train.run_folder import RECIPE

BY_TASK = ("epochs", "splits")
"""Settings of `downstream` that have a value for each evaluation."""


def check_head(recipe: Recipe, task: str, encoder: nn.Module | None) -> None:
    """That a head which was trained before, in `recipe.run`, had these settings of `downstream` and stood on this encoder.

    Raises:
        ValueError: it had or stood on others: its figures would be taken for those of what is asked for.
    """
    folder = recipe.run
    saved = load_checkpoint(folder) if (folder / RECIPE).is_file() else None
    if saved is None:
        return
    was, now = (_settings(some, task) for some in (load_recipe(folder / RECIPE), recipe))
    changed = [f"{key}: {was.get(key)} there, {now.get(key)} here" for key in {**was, **now} if was.get(key) != now.get(key)]
    if changed:
        raise ValueError(f"{folder} holds a head with other settings ({'; '.join(changed)}); remove it to train a new one")
    if encoder is not None:
        held, state = saved["model"], encoder.state_dict()
        if any(
            not torch.equal(value, held.get(f"encoder.encoder.{name}", value.new_empty(0)).cpu()) for name, value in state.items()
        ):
            raise ValueError(
                f"{folder} holds a head for another encoder, so its run was trained anew; remove it to train a new one"
            )


def _settings(recipe: Recipe, task: str) -> dict[str, object]:
    """Those of `downstream` that this evaluation reads, by dotted name."""
    others = tuple(f"downstream.{name}." for name in BY_TASK)
    return {
        key: value
        for key, value in flat(recipe).items()
        if key.startswith("downstream.") and (not key.startswith(others) or key.endswith(f".{task}"))
    }
