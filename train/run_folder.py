"""The run folder: recipe.yaml, checkpoint.pt, metrics.jsonl, validation.jsonl and tensorboard/."""

from pathlib import Path
from typing import Any

from train.checkpoint import load_checkpoint
from train.recipe import Recipe, differences
from train.recipe_file import dump_recipe, load_recipe

RECIPE = "recipe.yaml"


def saved_run(recipe: Recipe) -> dict[str, Any] | None:
    """The checkpoint of an earlier start of the same run in `recipe.run`, or None.

    Raises:
        ValueError: the folder holds a run of another recipe; the message says in what they differ.
    """
    saved = load_checkpoint(recipe.run)
    if saved is not None:
        _same(recipe)
    return saved


def claim_run(recipe: Recipe, *, write: bool) -> None:
    """Make the run folder and its recipe.yaml, where `write`: the first process of a run does."""
    if write:
        recipe.run.mkdir(parents=True, exist_ok=True)
        temporary = recipe.run / (RECIPE + ".tmp")
        temporary.write_text(dump_recipe(recipe))
        temporary.replace(recipe.run / RECIPE)


def claim_stages(recipe: Recipe, *, write: bool) -> None:
    """The same for a run of several stages, each of which has its checkpoint in a folder of its own.

    Raises:
        ValueError: the folder holds another recipe.
    """
    _same(recipe)
    claim_run(recipe, write=write)


def _same(recipe: Recipe) -> None:
    folder = recipe.run
    if (folder / RECIPE).exists() and (changed := differences(load_recipe(folder / RECIPE), recipe)):
        raise ValueError(
            f"{folder} holds a run of another recipe ({'; '.join(changed)}); choose another folder with run=…, or remove this one"
        )


def read_run(folder: str | Path) -> tuple[Recipe, dict[str, Any]]:
    """Recipe and checkpoint of a run.

    Raises:
        FileNotFoundError: the folder is missing, or holds no recipe or no checkpoint.
    """
    folder = Path(folder)
    saved = load_checkpoint(folder) if (folder / RECIPE).is_file() else None
    if saved is None:
        raise FileNotFoundError(f"{folder} is no run folder with a checkpoint; `sonosphere train` makes one")
    return load_recipe(folder / RECIPE), saved
