"""Settings in YAML: a file, and what replaces parts of it, become checked settings, or one clear sentence about what is wrong."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Kind = TypeVar("Kind", bound=BaseModel)


def load_settings(kind: type[Kind], folder: Path, name_or_path: str | Path, overrides: Sequence[str] = ()) -> Kind:
    """Read settings of a kind.

    Args:
        folder: of the recipes that have a name.
        name_or_path: one of these names, or a path to a YAML file.
        overrides: `section.key=value`, as on the command line; a value is read as YAML (`augment=[turn]`) and typed by the kind.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: the file is no YAML mapping, or a key or a value is not allowed; the message names it.
    """
    path = _find(folder, name_or_path)
    try:
        settings = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} should hold settings as `key: value`; it holds {type(settings).__name__}")
    overridden = {_override(settings, text) for text in overrides}
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        problems = [_explain(kind, problem, path, overridden) for problem in error.errors()]
        raise ValueError("; ".join(dict.fromkeys(problems))) from None


def dump_settings(settings: BaseModel) -> str:
    """The settings as YAML, every one spelled out; `load_settings` reads it back to equal ones."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def _find(folder: Path, name_or_path: str | Path) -> Path:
    for path in (folder / f"{name_or_path}.yaml", Path(name_or_path)):
        if path.is_file():
            return path
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    raise FileNotFoundError(f"there is no recipe {str(name_or_path)!r}: give one of {', '.join(names)}, or the path of a YAML file")


def _override(settings: dict[str, Any], text: str) -> str:
    """Put one `section.key=value` into the settings; returns its dotted key."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"override {text!r} should read key=value, for instance optim.lr=3e-4")
    *sections, last = key.split(".")
    place = settings
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ValueError(f"override {text!r}: {section!r} is a value and has no settings of its own")
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"override {text!r}: {value!r} is not a value that YAML can read") from None
    return key


def _explain(kind: type[BaseModel], problem: Any, path: Path, overridden: set[str]) -> str:
    """One of pydantic's errors as a sentence with the key, its place and what is allowed."""
    loc = [part for part in problem["loc"] if isinstance(part, str)]
    dotted = ".".join(loc)
    on_command_line = any(key == dotted or key.startswith(f"{dotted}.") for key in overridden)
    place = "the command line" if on_command_line else str(path)
    if problem["type"] == "extra_forbidden":
        section = ".".join(loc[:-1])
        where = f"section {section!r}" if section else "the top level"
        return f"unknown key {dotted!r} in {where} of the recipe ({place}); {_suggest(kind, loc)}"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = "" if problem["type"] in ("missing", "value_error") else f", not {problem['input']!r}"
    return f"{dotted or 'recipe'} in {place}: {message}{given}"


def _suggest(kind: type[BaseModel], loc: list[str]) -> str:
    allowed = kind
    for section in loc[:-1]:
        allowed = allowed.model_fields[section].annotation  # type: ignore[assignment]
    names = list(allowed.model_fields)
    near = difflib.get_close_matches(loc[-1], names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"allowed here: {', '.join(names)}"
