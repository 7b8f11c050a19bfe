"""What contrastive learning on pictures comes to in minutes: random, MoCo-v2, DenseCL, and one after the other."""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contrast import material
from benchmarks.contrast.cells import Probed, probe
from train.environment import machine

LEARN, JUDGE = 300, 200
"""Scenes that the dense probe learns from, and others that it is judged on."""


@dataclass(frozen=True)
class Row:
    """A run. settings: of the recipe. needs: the row whose encoder it starts from."""

    name: str
    title: str
    settings: tuple[str, ...]
    needs: str = ""


ROWS = (
    Row("random", "random, frozen", ("method.name=random", "method.tasks=[moco]")),
    Row("moco", "MoCo-v2", ("objective.name=moco",)),
    Row("densecl", "DenseCL", ("objective.name=densecl",)),
    Row("moco-densecl", "MoCo-v2, then DenseCL", ("method.name=incremental", "method.tasks=[moco, densecl]"), "moco"),
    Row("densecl-moco", "DenseCL, then MoCo-v2", ("method.name=incremental", "method.tasks=[densecl, moco]"), "densecl"),
)


@dataclass(frozen=True)
class Plan:
    """What to measure. rows: names. settings: of all recipes."""

    out: Path
    recipe: str = "images-laptop"
    pictures: int = material.PICTURES
    seeds: int = 1
    rows: tuple[str, ...] = tuple(row.name for row in ROWS)
    workers: int = 1
    settings: tuple[str, ...] = ()


def contrast(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure what is not there yet, one run at a time on all cores; writes contrast.json, curve.png and cells.png.

    Returns:
        JSON: `results`, of every run: `knn`, `miou` and `foreground` of the dense probe, how fast it was trained (see `pace`), and
        of DenseCL `cells` (see `corners`); `table`: their means and deviations over the seeds; `above_random`: points of k-NN
        accuracy.

    Raises:
        ValueError: a row that is not known. KeyboardInterrupt: it was stopped; the same call goes on.
    """
    from benchmarks.contrast.pictures import cell_maps, curves

    wanted = chosen(plan.rows)
    made = material.shards(plan.out, pictures=plan.pictures, workers=plan.workers, say=say)
    learn, judge = material.scenes(0, LEARN), material.scenes(LEARN, JUDGE)
    results, maps = [], {}
    for seed in range(plan.seeds):
        for row in wanted:
            say(f"seed {seed}: {row.title}")
            result, probed = _do(plan, row, seed, made, learn, judge)
            results.append(result)
            if seed == 0:
                maps[row.title] = probed.maps
    table = {row.name: _summary([r for r in results if r["row"] == row.name]) for row in wanted}
    report = {
        "bench": "contrast",
        "table": table,
        "above_random": {name: 100 * (figures["knn"]["mean"] - table["random"]["knn"]["mean"]) for name, figures in table.items()}
        if "random" in table
        else {},
        "results": results,
        "recipe": plan.recipe,
        "settings": list(plan.settings),
        "pictures": plan.pictures,
        "scenes": {"learn": LEARN, "judge": JUDGE, "side": material.SIDE},
        "machine": machine(),
    }
    (plan.out / "contrast.json").write_text(json.dumps(report, indent=1) + "\n")
    (plan.out / "cells.png").write_bytes(cell_maps(judge, maps))
    (plan.out / "curve.png").write_bytes(curves({row.title: plan.out / "seed-0" / row.name for row in wanted}, table))
    return report


def chosen(names: tuple[str, ...]) -> list[Row]:
    """These rows and those that they start from, in order.

    Raises:
        ValueError: a name that is no row.
    """
    every = {row.name: row for row in ROWS}
    if unknown := [name for name in names if name not in every]:
        raise ValueError(f"rows={','.join(unknown)} is not known; allowed: {', '.join(every)}")
    wanted = set(names) | {every[name].needs for name in names}
    return [row for row in ROWS if row.name in wanted]


def markdown(report: dict[str, Any]) -> str:
    """The table for people."""
    titles = {row.name: row.title for row in ROWS}
    lines = ["| | k-NN, % | dense probe: mIoU, % | its objects, % | minutes |", "|---|---|---|---|---|"]
    for name, figures in report["table"].items():
        minutes = f"{figures['minutes']['mean']:.1f}" if "minutes" in figures else "–"
        told = [f"{100 * figures[key]['mean']:.1f} ± {100 * figures[key]['spread']:.1f}" for key in ("knn", "miou", "foreground")]
        lines.append(f"| {titles[name]} | {' | '.join(told)} | {minutes} |")
    return "\n".join(lines) + "\n"


def _do(
    plan: Plan, row: Row, seed: int, shards: Path, learn: material.Scenes, judge: material.Scenes
) -> tuple[dict[str, Any], Probed]:
    """Train a row, or take what is there, and judge it."""
    import torch

    from benchmarks.contrast.pace import trained
    from train.encoder_file import load_encoder
    from train.objectives.moco import MoCo
    from train.recipe_file import load_recipe
    from train.validate import neighbours
    from train.world import join_world, torch_threads

    folder = plan.out / f"seed-{seed}"
    run = folder / row.name
    teacher = [f"method.teachers={{{row.needs}: {json.dumps(str(folder / row.needs))}}}"] if row.needs else []
    place = [f"data.path={json.dumps(str(shards))}", f"run={json.dumps(str(run))}", f"seed={seed}"]
    recipe = load_recipe(plan.recipe, [*plan.settings, *row.settings, *teacher, *place])
    pace = trained(recipe)
    encoder = load_encoder(run)
    with torch_threads(recipe.compute_threads), join_world("cpu") as world, torch.no_grad():
        knn = neighbours(MoCo.from_recipe(recipe, encoder), recipe, world)["knn"]
        probed = probe(encoder.eval(), learn, judge)
        dense = _corners(recipe, world) if row.name == "densecl" else {}
    figures = {"knn": knn, "miou": probed.miou, "foreground": probed.foreground}
    return {"row": row.name, "seed": seed, **figures, **dense, **pace}, probed


def _corners(recipe: Any, world: Any) -> dict[str, Any]:
    """What the cells of a finished run of DenseCL go by, on held-out pictures."""
    from benchmarks.contrast.corners import corners
    from train.checkpoint import load_checkpoint
    from train.data import validation_loader
    from train.objectives.densecl import DenseCL

    objective = DenseCL.from_recipe(recipe)
    saved = load_checkpoint(recipe.run)
    assert saved is not None, "it has just been trained"
    objective.load_state_dict(saved["model"])
    with validation_loader(recipe, world, objective.FIELDS) as loader:
        return {"cells": corners(objective, loader)}


def _summary(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the seeds; one seed has none."""
    found = {}
    for key in ("knn", "miou", "foreground", "minutes"):
        values = [result[key] for result in results if result[key] is not None]
        if not values:
            continue  # minutes of runs that were trained elsewhere
        found[key] = {"mean": statistics.fmean(values), "spread": statistics.stdev(values) if len(values) > 1 else 0.0}
    return found
