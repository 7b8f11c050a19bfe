"""`sonosphere train`."""

from typing import Annotated

import typer


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
