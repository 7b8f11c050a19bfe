"""What a run folder tells of itself, in one value, without the paths of the machine that it lies on."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from train.checkpoint import NAME as CHECKPOINT
from train.checkpoint import load_checkpoint
from train.log import METRICS, VALIDATION, read_log
from train.recipe import Recipe
from train.recipe_file import load_recipe
from train.run_folder import RECIPE

ENVIRONMENT, ORIGIN, RESULT = "environment.json", "imported.json", "result.json"
JUDGES = ("spatial", "sp", "s3r", "vr", "knn", "voc07", "coco")
"""Evaluations, whose folders are no stages of the training."""

_ABSOLUTE = re.compile(r"(^|[\s=\"'(:])(~|[A-Za-z]:)?[/\\]|://")


@dataclass(frozen=True)
class Stage:
    """One training: its name (empty: the run itself), steps taken and planned, and from the loader's state the epoch and the
    fingerprint of each set. metrics, validation: the last line of each log.
    """

    name: str
    step: int
    total: int
    epoch: int | None
    clips: int | None
    fingerprints: dict[str, str]
    metrics: dict[str, float]
    validation: dict[str, float]


@dataclass(frozen=True)
class Facts:
    """name: of the folder. recipe: None for a run that was imported. environment, origin: what was noted when it began, or None.
    results: of the evaluations, by the name of their folder.
    """

    name: str
    recipe: Recipe | None
    stages: tuple[Stage, ...]
    environment: dict[str, Any] | None
    origin: dict[str, Any] | None
    results: dict[str, dict[str, Any]]


def read_facts(run: Path) -> Facts:
    """All of it.

    Raises:
        ValueError: one of its files is damaged.
    """
    folders = sorted(path for path in run.iterdir() if path.is_dir())
    trainings = [run, *(path for path in folders if not _judges(path))]
    results = {path.name: _json(path / RESULT) or {} for path in folders if (path / RESULT).is_file()}
    return Facts(
        name=run.resolve().name,
        recipe=load_recipe(run / RECIPE) if (run / RECIPE).is_file() else None,
        stages=tuple(stage for path in trainings if (stage := _stage(path, "" if path == run else path.name))),
        environment=_json(run / ENVIRONMENT),
        origin=_json(run / ORIGIN),
        results=results,
    )


def changed(settings: BaseModel, prefix: str = "", default: BaseModel | None = None) -> dict[str, Any]:
    """Settings that are not the defaults, as plain values by dotted name; those without a default always.

    default: of this group, where the group above sets another than the fields' own.
    """
    found: dict[str, Any] = {}
    plain = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        usual = field.get_default(call_default_factory=True) if default is None else getattr(default, name)
        if isinstance(value, BaseModel):
            found |= changed(value, f"{prefix}{name}.", usual if isinstance(usual, BaseModel) else None)
        elif (default is None and field.is_required()) or value != usual:
            found[prefix + name] = without_places(plain[name])
    return found


def without_places(value: Any) -> Any:
    """A setting with only the last name of every path and URL in it, which say more of a machine than of a model."""
    if isinstance(value, dict):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(item) for item in value]
    return last_name(value) if isinstance(value, str) and ("/" in value or "\\" in value) else value


def printed(value: Any) -> str:
    """A fact for people, in one line; of an absolute path or a URL only the last name."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {printed(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(printed(item) for item in value)
    text = " ".join(str(value).split())
    return last_name(text) if _ABSOLUTE.search(text) else text


def last_name(text: str) -> str:
    """Of a path or a URL: `set` of `s3://key@bucket/set?token=…`."""
    return re.split(r"[/\\]", text.split("?")[0].split("#")[0].rstrip("/\\"))[-1]


def _stage(folder: Path, name: str) -> Stage | None:
    saved = load_checkpoint(folder) if (folder / CHECKPOINT).is_file() else None
    if saved is None:
        return None
    loader = saved.get("loader")
    loader = loader if isinstance(loader, dict) else {}
    prints = loader.get("fingerprint")
    prints = prints if isinstance(prints, dict) else {"": prints} if prints else {}
    return Stage(
        name=name,
        step=int(saved["step"]),
        total=int(saved["total"]),
        epoch=loader.get("epoch"),
        clips=saved.get("clips"),
        fingerprints={last_name(str(key)): str(value) for key, value in prints.items()},
        metrics=_last(folder, METRICS),
        validation=_last(folder, VALIDATION),
    )


def _last(folder: Path, name: str) -> dict[str, float]:
    """The numbers of the last line of a log."""
    try:
        lines = read_log(folder, name)
    except ValueError as error:
        raise ValueError(f"{folder / name} is no readable log: a line of it is not JSON") from error
    return numbers(lines[-1]) if lines and isinstance(lines[-1], dict) else {}


def numbers(values: dict[str, Any]) -> dict[str, float]:
    """Those of the values that are finite numbers."""
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _judges(folder: Path) -> bool:
    return (folder / RESULT).is_file() or folder.name.removesuffix("-supervised") in JUDGES


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} should hold names and values; it holds {type(found).__name__}")
    return found
