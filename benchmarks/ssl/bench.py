"""The whole table: scenes, jobs, summary, files."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ssl.job import Job
from benchmarks.ssl.material import RECORDINGS, material
from benchmarks.ssl.rows import TITLES, Row, rows
from benchmarks.ssl.table import MERIT, beats_random, markdown, run_all, summary
from train.environment import machine


@dataclass(frozen=True)
class Table:
    """What to measure. shards: None for synthetic scenes, `recordings` of them. rows: names, or ("all",). settings: of all
    recipes.
    """

    out: Path
    recipe: str = "sound-laptop"
    shards: Path | None = None
    recordings: int | None = None
    seeds: int = 3
    rows: tuple[str, ...] = ("all",)
    workers: int = 1
    settings: tuple[str, ...] = ()


def chosen(names: tuple[str, ...]) -> list[Row]:
    """These rows and what they need, in the order of the table.

    Raises:
        ValueError: a name that is no row.
    """
    every = {row.name: row for row in rows()}
    if names == ("all",):
        return list(every.values())
    unknown = [name for name in names if name not in every]
    if unknown:
        raise ValueError(f"rows={','.join(unknown)} is not known; allowed: all, {', '.join(every)}")
    wanted = set(names) | {need for name in names for need in every[name].needs}
    return [row for row in every.values() if row.name in wanted]


def make_table(table: Table, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure what is not there yet; writes ssl.json, table.md and trade-off.png.

    Raises:
        ValueError: an option cannot be. KeyboardInterrupt: it was stopped; the same call goes on.
    """
    from benchmarks.ssl.pictures import trade_off

    if table.shards is not None and table.recordings is not None:
        raise ValueError("--recordings is for synthetic scenes: leave it out with --shards")
    wanted, begun = chosen(table.rows), time.monotonic()
    shards = table.shards or material(table.out, recordings=table.recordings or RECORDINGS, workers=table.workers, say=say)
    # long rows first, so that no core is idle in the end: those of all seeds that others wait for, then the combined ones
    jobs = [
        Job(row, seed, table.out / f"seed-{seed}", shards, table.recipe, table.settings)
        for row in wanted
        for seed in range(table.seeds)
    ]
    results = run_all(jobs, table.workers, say)
    found = summary(results)
    found = {row.name: found[row.name] for row in wanted}
    report = {
        "table": found,
        "figures": {task: {"name": name, "more_is_better": more} for task, (name, more) in MERIT.items()},
        "beats_random": _beaten(found),
        "waited": max(result[part]["waited"] for result in _parts(results) for part in ("train",)),
        "results": results,
        "recipe": table.recipe,
        "settings": list(table.settings),
        "seeds": list(range(table.seeds)),
        "fingerprint": _fingerprint(shards),
        "commits": {row.name: _commits([job.run for job in jobs if job.row is row]) for row in wanted},
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "machine": machine(),
        "markdown": markdown(found, TITLES),
    }
    (table.out / "ssl.json").write_text(json.dumps(report, indent=1) + "\n")
    (table.out / "table.md").write_text(report["markdown"])
    (table.out / "trade-off.png").write_bytes(trade_off(found))
    return report


def _parts(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Everything that was trained: rows, and the heads of their evaluations."""
    return [part for result in results for part in (result, *(result[name] for name in MERIT)) if "train" in part]


def _beaten(found: dict[str, Any]) -> dict[str, list[str]]:
    """By row, the evaluations in which it beats the random encoder by more than the spread."""
    if "random" not in found:
        return {}
    return {row: [task for task in MERIT if beats_random(found, row, task)] for row in found if row != "random"}


def _commits(runs: list[Path]) -> list[str]:
    """The commits at which these were trained and judged: a table that goes on may have seen several."""
    noted = [json.loads(path.read_text())["commits"] for run in runs for path in run.rglob("environment.json")]
    return sorted({commit for commits in noted for commit in commits if commit})


def _fingerprint(shards: Path) -> str:
    from dataio.format import manifest

    return str(manifest.load(shards).fingerprint)
