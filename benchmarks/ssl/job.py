"""One row of one seed: train its encoder, then every evaluation; what is there already is not done again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.ssl.rows import Row

EVALUATIONS = ("sp", "s3r", "vr")
RESULT = "row.json"


@dataclass(frozen=True)
class Job:
    """A row of a seed. folder: of the seed. shards: of the scenes. recipe: its name. settings: of all rows."""

    row: Row
    seed: int
    folder: Path
    shards: Path
    recipe: str
    settings: tuple[str, ...] = ()

    @property
    def run(self) -> Path:
        return self.folder / self.row.name

    @property
    def result(self) -> dict[str, Any] | None:
        """What came of it, if it has been done."""
        path = self.run / RESULT
        return json.loads(path.read_text()) if path.exists() else None


def do(job: Job) -> dict[str, Any]:
    """Train and judge; the result lies in the row's folder as row.json, whole or not at all.

    Raises:
        KeyboardInterrupt: it was stopped; the same call goes on.
    """
    if (found := job.result) is not None:
        return found
    from train.downstream.run import judge
    from train.recipe_file import load_recipe
    from train.run import train

    teachers = ", ".join(f"{name}: {json.dumps(str(job.folder / name))}" for name in job.row.needs)
    recipe = load_recipe(
        job.recipe,
        [
            *job.settings,
            *job.row.settings,
            *([f"method.teachers={{{teachers}}}"] if teachers else []),
            f"data.path={json.dumps(str(job.shards))}",
            f"seed={job.seed}",
            f"run={json.dumps(str(job.run))}",
        ],
    )
    found = {"row": job.row.name, "seed": job.seed}
    if job.row.trained:
        trained = train(recipe)
        if trained.exit_code:
            raise KeyboardInterrupt
        found["train"] = _pace(trained)
    for name in EVALUATIONS:
        figures, pace = judge(recipe, name, job.run / name, encoder=job.run if job.row.trained else None)
        if figures is None:
            raise KeyboardInterrupt
        found[name] = {key: value for key, value in figures.items() if isinstance(value, float)} | {"train": _pace(pace)}
    temporary = job.run / (RESULT + ".tmp")
    temporary.write_text(json.dumps(found, indent=1) + "\n")
    temporary.replace(job.run / RESULT)
    return found


def _pace(result: Any) -> dict[str, float]:
    """Steps, seconds, clips/s, and the share of the time in which the loop waited for data."""
    facts = asdict(result)
    return {name: facts[name] for name in ("total", "seconds", "clips_per_second", "waited")}
