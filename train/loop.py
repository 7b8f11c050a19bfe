"""The training loop: an objective goes in, a trained one and a run folder come out. Read it from top to bottom."""

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from train.checkpoint import random_states, restore_random_states, save_checkpoint
from train.data import training_loader
from train.environment import note_environment
from train.interrupt import Interrupt
from train.log import RunLog
from train.objectives.base import Make, Objective
from train.objectives.queue import queue_buffers
from train.optim import make_optimizer, make_schedule
from train.precision import DTYPES, resolved
from train.recipe import Optim, Recipe
from train.resizing import plan, resized, side_at
from train.run_folder import claim_run, saved_run
from train.validate import neighbours, validate
from train.world import World


@dataclass(frozen=True)
class Result:
    """What one start of a run came to. `exit_code` is 0, or 130 / 143 when SIGINT / SIGTERM stopped it before its last step;
    `seconds` and `clips_per_second` are those of this start; `waited` is the share of them in which the loop waited for data;
    `loader_report` is the loader's account of its stages, empty if nothing was left to do.
    """

    run: Path
    step: int
    total: int
    seconds: float
    clips_per_second: float
    waited: float
    exit_code: int
    loader_report: Any


def fit(
    make: Make, recipe: Recipe, world: World, interrupt: Interrupt, *, optim: Optim | None = None, split: str = "train"
) -> tuple[Objective, Result]:
    """Train what `make` makes, or go on where an earlier start stopped: on the CPU bit-identical to a run that never stopped.

    Args:
        make: the untrained objective; called after torch's random state was set from the seed.
        recipe: `recipe.run` is the folder.
        optim: instead of the recipe's own. split: to learn from.

    Returns:
        the objective as it is when this start ends, on the device; and what it came to.

    Raises:
        ValueError: the run folder belongs to another recipe, the data do not make one step, or a setting does not fit them.
        RuntimeError: the loss is no longer finite; the checkpoint before it stays.
    """
    optim = optim or recipe.optim
    # The seed first: the weights are the first numbers drawn from it.
    torch.manual_seed(recipe.seed)
    random.seed(recipe.seed)
    objective = make().to(world.device)
    saved = saved_run(recipe)
    if world.any(saved is None) and world.any(saved is not None):
        raise ValueError(f"some processes see a checkpoint in {recipe.run} and some do not: it must be one folder for all of them")
    if saved is not None and saved["step"] == saved["total"]:
        objective.load_state_dict(saved["model"])
        return objective, Result(recipe.run, saved["step"], saved["total"], 0.0, 0.0, 0.0, 0, {})
    with training_loader(recipe, world, objective.FIELDS, split=split) as loader:
        claim_run(recipe, write=world.first)
        if world.first:
            note_environment(recipe.run)
        return _fit(objective, recipe, world, interrupt, optim, loader, saved)


def _parallel(objective: Objective, world: World) -> nn.Module:
    if world.size == 1:
        return objective
    # the keys of all processes enter every queue alike, so that megabytes need not be sent at every step to make them so
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(objective, queue_buffers(objective))
    return DistributedDataParallel(objective)


def _fit(
    objective: Objective,
    recipe: Recipe,
    world: World,
    interrupt: Interrupt,
    optim: Optim,
    loader: Any,
    saved: dict[str, Any] | None,
) -> tuple[Objective, Result]:
    parallel = _parallel(objective, world)
    epoch_steps, joint = len(loader), recipe.data.batch_size * world.size
    total = optim.steps or epoch_steps * (optim.epochs or 1)
    optimizer = make_optimizer(objective, optim)
    schedule = make_schedule(optimizer, optim, total)
    precision = resolved(recipe.precision, world.device)
    scaler = torch.amp.GradScaler(world.device.type, enabled=precision == "fp16")
    autocast = torch.autocast(world.device.type, DTYPES[precision], enabled=precision != "fp32")
    facts = {"total": total, "joint": joint, "clips": loader.clips}
    parts: dict[str, Any] = {"model": objective, "optimizer": optimizer, "schedule": schedule, "scaler": scaler, "loader": loader}

    first = step = 0
    if saved is not None:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        restore_random_states(saved["random"])
        if saved["joint"] != joint and optim.epochs:  # an epoch has another number of steps: what counts is what was seen of it
            saved["step"] = loader.epoch * epoch_steps + loader.state_dict()["position"] // joint
            schedule.last_epoch = saved["step"]
        first = step = saved["step"]

    with RunLog(recipe.run, world, step=step, total=total) as log:
        if saved is not None:
            log.say(f"going on from step {step} of {total} in {recipe.run}")
            if saved["joint"] != joint:
                log.say(f"a step is of {joint} clips of all processes now, and was of {saved['joint']}; optim.lr is the same")
        if recipe.precision == "auto":
            log.say(f"precision: {precision}, which suits this machine")
        if sizes := plan(recipe.views, total):
            log.say(sizes)
        if not (validating := "val" in loader.splits):  # one recording alone has none: its clips would be told apart by nothing
            log.say(f"{recipe.data.path} has no validation split: training goes on without one")

        def save() -> None:
            log.flush()  # first, because it refuses to go on with a loss that is not finite
            if world.first:
                state = {name: part.state_dict() for name, part in parts.items()}
                save_checkpoint(recipe.run, state | facts | {"step": step, "random": random_states()})

        stop = False
        waited = 0.0
        begun = waiting = time.perf_counter()
        while step < total and not stop:
            for batch in loader:  # to the end of the epoch, or of what is left of it after a resume
                got = time.perf_counter()
                waited += got - waiting

                with autocast:
                    loss, metrics = parallel(resized(batch, side_at(recipe.views, step, total)))
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()
                if optim.grad_clip:
                    scaler.unscale_(optimizer)
                    torch.nn.utils.clip_grad_norm_(objective.parameters(), optim.grad_clip)
                scaler.step(optimizer)
                scaler.update()
                lr = float(schedule.get_last_lr()[0])
                schedule.step()
                step += 1

                log.note(step, {"loss": loss, **metrics}, lr=lr, data_seconds=got - waiting, step_seconds=time.perf_counter() - got)
                if step % recipe.log_every == 0:
                    log.flush()
                if validating and (step % (epoch_steps * recipe.validate_every) == 0 or step == total):
                    log.validation(step, validate(objective, recipe, world) | neighbours(objective, recipe, world))
                # All processes must stop at the same step, so they ask each other; that costs, so not at every step.
                if world.size == 1 or step % recipe.log_every == 0:
                    stop = world.any(interrupt.signal is not None)
                if stop or step == total:
                    break
                if step % recipe.checkpoint_every == 0:
                    save()
                waiting = time.perf_counter()
        seconds = time.perf_counter() - begun
        if step > first:
            save()
            world.any(False)  # nobody goes on before the checkpoint is there
        report = loader.report()
        if report["health"]["corrupt"]:
            log.say(f"corrupt clips were replaced {report['health']['corrupt']} times; {report['health']['quarantine']} lists them")
        if recipe.data.headspace:
            log.say(report["verdict"])
        unfinished = step < total
        if unfinished:
            log.say(f"stopped at step {step} of {total} and saved; the same command goes on from there (run={recipe.run})")

    rate = (step - first) * recipe.data.batch_size * world.size / max(seconds, 1e-9)
    code = interrupt.exit_code if unfinished else 0
    return objective, Result(recipe.run, step, total, seconds, rate, waited / max(seconds, 1e-9), code, report)
