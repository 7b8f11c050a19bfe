"""A recipe goes in, a run folder with a trained sound encoder comes out: one task, or several and a way to combine them."""

import zlib
from dataclasses import replace
from pathlib import Path

import torch

from models.encoder import Encoder
from train.encoder_file import load_encoder, save_encoder
from train.interrupt import Interrupt
from train.loop import Result, fit
from train.methods import METHODS, Combining, taught
from train.objectives import OBJECTIVES
from train.objectives.base import Make, Objective
from train.recipe import Recipe, Task
from train.run_folder import claim_stages
from train.world import World, join_world, torch_threads


def train(recipe: Recipe) -> Result:
    """Train, or go on where an earlier start of the same run stopped: on the CPU bit-identical to a run that never stopped.

    Raises:
        FileNotFoundError: no such shards, or a teacher that is named is no finished run.
        ValueError: the run folder belongs to another recipe, the data do not make one step, or a setting does not fit them.
        RuntimeError: the loss is no longer finite; the checkpoint before it stays.
    """
    with torch_threads(recipe.compute_threads), join_world(recipe.device) as world, Interrupt() as interrupt:
        if recipe.method.name == "single":
            objective, result = fit(lambda: OBJECTIVES[recipe.objective.name].from_recipe(recipe), recipe, world, interrupt)
            if world.first and not result.exit_code:
                save_encoder(recipe.run, objective.encoder)
            return result
        return _combine(recipe, world, interrupt)


def _combine(recipe: Recipe, world: World, interrupt: Interrupt) -> Result:
    claim_stages(recipe, write=world.first)
    stages = _Stages(recipe, world, interrupt)
    torch.manual_seed(recipe.seed)
    try:
        names = taught(recipe.method)
        for name in names:
            if (folder := recipe.method.teachers.get(name)) is not None:
                load_encoder(folder)  # one that is not there is told before others are trained for hours
        teachers: dict[str, Encoder] = {name: stages.teacher(name) for name in names}
        encoder = METHODS[recipe.method.name](Combining(recipe, teachers, stages))
    except _StoppedError:
        return stages.result
    if world.first:
        save_encoder(recipe.run, encoder)
    return stages.result


class _StoppedError(Exception):
    """A stage was interrupted, so there is nothing to go on with."""


class _Stages:
    """The stages of one run, each in a folder of its own below that of the run; `result` is of all of them."""

    def __init__(self, recipe: Recipe, world: World, interrupt: Interrupt) -> None:
        self._recipe, self._world, self._interrupt = recipe, world, interrupt
        self.result = Result(recipe.run, 0, 0, 0.0, 0.0, 0.0, 0, {})

    def teacher(self, task: Task) -> Encoder:
        """The encoder of a run that the recipe names, or of this task trained alone, as the first stages."""
        named = self._recipe.method.teachers.get(task)
        if named is not None:
            return load_encoder(named)
        return self(f"single-{task}", lambda: OBJECTIVES[task].from_recipe(self._recipe)).encoder.cpu().eval()

    def __call__(self, stage: str, make: Make) -> Objective:
        # its own numbers, whatever was drawn before: a run that goes on in the middle must not differ from one that did not stop
        seed = zlib.crc32(f"{self._recipe.seed} {stage}".encode())
        recipe = self._recipe.model_copy(update={"run": Path(self._recipe.run) / stage, "seed": seed})
        objective, result = fit(make, recipe, self._world, self._interrupt)
        whole = self.result
        seconds = whole.seconds + result.seconds
        clips = whole.clips_per_second * whole.seconds + result.clips_per_second * result.seconds
        waited = whole.waited * whole.seconds + result.waited * result.seconds
        self.result = replace(
            result,
            run=self._recipe.run,
            step=whole.step + result.step,
            total=whole.total + result.total,
            seconds=seconds,
            clips_per_second=clips / max(seconds, 1e-9),
            waited=waited / max(seconds, 1e-9),
        )
        if result.exit_code:
            raise _StoppedError
        return objective
