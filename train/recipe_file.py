"""Recipes of training, as files."""

from collections.abc import Sequence
from pathlib import Path

from train.recipe import Recipe
from train.settings_file import dump_settings, load_settings

RECIPES = Path(__file__).parent / "recipes"


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of this name (`spatial`) or path; see `load_settings`."""
    return load_settings(Recipe, RECIPES, name_or_path, overrides)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, which `load_recipe` reads back to an equal one."""
    return dump_settings(recipe)
