"""The run folder: recipe.yaml, checkpoint.pt, metrics.jsonl, validation.jsonl and tensorboard/."""

from pathlib import Path
from typing import Any

from train.checkpoint import load_checkpoint
from train.recipe import Recipe, differences
from train.recipe_file import dump_recipe, load_recipe

RECIPE = "recipe.yaml"


def open_run(recipe: Recipe, *, write: bool) -> dict[str, Any] | None:
    """Make the run folder and its recipe.yaml, or find the checkpoint to go on from.

    Args:
        recipe: of the run that wants to start; `recipe.run` is the folder.
        write: whether this process writes (the first one of a run does).

    Returns:
        The checkpoint of an earlier start of the same run, or None.

    Raises:
        ValueError: the folder holds a run of another recipe; the message says in what they differ.
    """
    folder = recipe.run
    saved = load_checkpoint(folder)
    if saved is not None and (folder / RECIPE).exists():
        changed = differences(load_recipe(folder / RECIPE), recipe)
        if changed:
            raise ValueError(
                f"{folder} holds a run of another recipe ({'; '.join(changed)}); "
                "choose another folder with run=…, or remove this one"
            )
    if write:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / (RECIPE + ".tmp")
        temporary.write_text(dump_recipe(recipe))
        temporary.replace(folder / RECIPE)
    return saved


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
