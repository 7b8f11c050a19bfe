"""The parts of a model card that tell how the weights came about, and what they were measured to do."""

from collections.abc import Mapping
from typing import Any

import yaml

from train.exchange.facts import Facts, Stage, changed, numbers, printed, without_places
from train.exchange.markdown import block, code, escaped, table

NOT = "not recorded"
_PICTURES, _SOUND = ("knn", "voc07", "coco"), ("sp", "s3r", "vr")
_CLOCKS = ("data_seconds", "step_seconds")  # of the machine, not of the model


def learned(facts: Facts) -> str:
    """What was learned: the task, or the method and its tasks."""
    if facts.recipe is None:
        return "imported weights"
    method = facts.recipe.method
    return facts.recipe.objective.name if method.name == "single" else f"{method.name} of {' and '.join(method.tasks)}"


def commit(facts: Facts) -> str:
    """Of the program that trained it."""
    return printed((facts.environment or {}).get("commit") or NOT)


def training(facts: Facts) -> list[str]:
    """Paragraphs: stages, data, recipe, program; or whence the weights were imported."""
    if (origin := facts.origin) is not None:
        return [
            f"Not by this program. It was imported from a file named {code(printed(origin.get('file')))} (SHA-256 "
            f"{code(printed(origin.get('sha256')))}): {escaped(printed(origin.get('notes')))}. Recipe, data and commit are {NOT}."
        ]
    if facts.recipe is None:
        return [f"The run folder holds no recipe: {NOT}."]
    rows = [(code(name), code("null" if value is None else printed(value))) for name, value in changed(facts.recipe).items()]
    recipe = yaml.safe_dump(without_places(facts.recipe.model_dump(mode="json")), sort_keys=False, allow_unicode=True)
    return [
        f"Learned: {escaped(learned(facts))}. Of paths only the last names are kept.",
        table(("stage", "steps", "of", "clips in the set", "data fingerprint"), [_row(stage) for stage in facts.stages])
        if facts.stages
        else f"Steps and data: {NOT}, for there is no checkpoint.",
        "Settings that differ from the defaults:",
        table(("setting", "value"), rows),
        f"<details><summary>The whole recipe</summary>\n\n{block(recipe, 'yaml')}\n\n</details>",
        "The program, when the training began:",
        "\n".join(_program(facts)),
    ]


def measured(facts: Facts) -> str:
    """The last lines of the logs, and the results of evaluations."""
    rows = []
    for stage in facts.stages:
        for log, values in (("training, last step", stage.metrics), ("validation, last", stage.validation)):
            rows += [(log, stage.name or "the run", name, printed(value)) for name, value in _figures(values).items()]
    for folder, result in facts.results.items():
        where = ", ".join(printed(result[key]) for key in ("data", "split") if isinstance(result.get(key), str))
        rows += [(f"evaluation {folder}", where, name, printed(value)) for name, value in _figures(result).items()]
    if not rows:
        return "Nothing that is recorded."
    return table(("what", "stage or data", "figure", "value"), [[escaped(cell) for cell in row] for row in rows])


def untested(facts: Facts, *, pictures: bool) -> str:
    """What nobody should take for granted."""
    judged = {name for name in facts.results if not name.endswith("-supervised")}
    left = [name for name in (_PICTURES if pictures else _SOUND) if name not in judged]
    others = "Other pictures" if pictures else "Other rooms, microphones and ears"
    lines = [
        f"- {others} than those it learned from, other sizes of input, and half precision, beyond what the table shows.",
        "- Whether it treats people, places or languages unequally, and what of its training data can be had back from it.",
        "- Any use in which an error does harm.",
    ]
    if left:
        lines.insert(0, f"- Evaluations of Sonosphere without a result in the run folder: {', '.join(left)}.")
    return "\n".join(lines)


def fingerprints(facts: Facts) -> list[str]:
    """Of all data sets, each once."""
    return list(dict.fromkeys(value for stage in facts.stages for value in stage.fingerprints.values()))


def _program(facts: Facts) -> list[str]:
    noted = facts.environment or {}
    told = {"commit": None, "packages": None} | noted
    values = {name: NOT if value is None else escaped(printed(value)) or "none" for name, value in told.items()}
    return [f"- {escaped(printed(name))}: {value}" for name, value in values.items()]


def _row(stage: Stage) -> tuple[str, ...]:
    prints = ", ".join(f"{escaped(name)} {code(value)}".strip() for name, value in stage.fingerprints.items())
    clips = NOT if stage.clips is None else str(stage.clips)
    return escaped(stage.name or "the run"), str(stage.step), str(stage.total), clips, prints or NOT


def _figures(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in numbers(dict(values)).items() if name not in _CLOCKS}
