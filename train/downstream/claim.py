"""Does the head that a folder holds belong to what is asked for? A finished one is not trained again, so it must."""

from typing import Any

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
            not torch.equal(value, held.get(f"sound.encoder.{name}", value.new_empty(0)).cpu()) for name, value in state.items()
        ):
            raise ValueError(
                f"{folder} holds a head for another encoder, so its run was trained anew; remove it to train a new one"
            )


def check_ears(encoder: nn.Module, recipe: Recipe) -> None:
    """That the encoder hears as many ears as the recipe gives it.

    Raises:
        ValueError: another number.
    """
    hears, given = _ears(encoder.description), 2 * len(recipe.data.pairs)  # type: ignore[arg-type]
    if hears != given:
        raise ValueError(f"the encoder hears {hears} ears; data.pairs={list(recipe.data.pairs)} gives {given}")


def _ears(description: dict[str, Any]) -> int:
    parts = description.get("parts") or description.get("columns")
    return _ears(parts[0]) if parts else int(description["channels"])


def _settings(recipe: Recipe, task: str) -> dict[str, object]:
    """Those of `downstream` that this evaluation reads, by dotted name."""
    others = tuple(f"downstream.{name}." for name in BY_TASK)
    return {
        key: value
        for key, value in flat(recipe).items()
        if key.startswith("downstream.") and (not key.startswith(others) or key.endswith(f".{task}"))
    }
