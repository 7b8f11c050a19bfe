"""Recipes of detection, as files."""

from collections.abc import Sequence
from pathlib import Path

from train.downstream.detection.settings import Detection
from train.settings_file import dump_settings, load_settings

RECIPES = Path(__file__).parent / "recipes"


def load_detection(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Detection:
    """The recipe of this name (`coco-1x`) or path; see `train.settings_file.load_settings`."""
    return load_settings(Detection, RECIPES, name_or_path, overrides)


def dump_detection(settings: Detection) -> str:
    """The recipe as YAML, which `load_detection` reads back to an equal one."""
    return dump_settings(settings)
