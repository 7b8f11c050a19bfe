"""Every task and method in two processes: each parameter gets a gradient at every step, and who is asked to stop stops both."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from tests.train.processes import torchrun
from train.encoder_file import save_encoder
from train.methods import METHODS
from train.modality import SOUND
from train.objectives import OBJECTIVES
from train.recipe import PICTURE_TASKS, Recipe


@pytest.fixture
def teachers(tasks, tmp_path) -> dict[str, str]:
    """Run folders of untrained teachers."""
    folders = {}
    for seed, name in enumerate(name for name in OBJECTIVES if name not in PICTURE_TASKS):
        torch.manual_seed(seed)
        (folder := tmp_path / f"teacher-{name}").mkdir()
        save_encoder(folder, SOUND.untrained(Recipe.model_validate(tasks)))
        folders[name] = str(folder)
    return folders


def test_every_task_and_method_trains_in_two_processes_and_goes_on(tasks, teachers, tmp_path):
    """DistributedDataParallel as it is: each parameter must get a gradient at every step, or the next one raises."""
    runs = [{"objective": {"name": task}} for task in OBJECTIVES if task not in PICTURE_TASKS]
    trained = [name for name in METHODS if name not in ("random", "concatenate")]
    runs += [
        {"method": {"name": name, "tasks": ["gap", "spatial", "motion"], "adapter": 2, "teachers": teachers}} for name in trained
    ]
    paths = []
    for number, extra in enumerate(runs):
        data = tasks["data"] | {"batch_size": 2}
        optim = {"lr": 1e-3, "steps": 3}
        recipe = tasks | {"run": str(tmp_path / f"run-{number}"), "data": data, "optim": optim, "log_every": 1} | extra
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(yaml.safe_dump(recipe))
    script = tmp_path / "main.py"
    script.write_text(
        """
import contextlib, json, os, signal, sys
import torch
import train.run
from train.log import RunLog
from train.recipe_file import load_recipe
from train.run import train as start
from train.world import join_world

original, stop = RunLog.note, [True]

def note(self, at, *args, **kwargs):
    if stop[0] and at == 2 and os.environ["RANK"] == "0":  # one of them is asked to stop, and both do
        os.kill(os.getpid(), signal.SIGTERM)
    original(self, at, *args, **kwargs)

RunLog.note = note
found = []
with join_world("cpu") as world:  # once for all, as torchrun starts a process once
    train.run.join_world = lambda device: contextlib.nullcontext(world)
    for path in sys.argv[1:]:
        stop[0] = True
        first = start(load_recipe(path))
        stop[0] = False
        torch.distributed.barrier()  # the checkpoint is there for both, as it is where torchrun has ended and begins anew
        second = start(load_recipe(path))
        found.append([first.step, first.exit_code != 0, second.step, second.exit_code])
print(json.dumps(found), file=open(f"{sys.argv[0]}.{os.environ['RANK']}", "w"))
"""
    )
    ended, errors = torchrun(script, *map(str, paths), processes=2, seconds=900)
    assert ended == 0, errors
    for rank in (0, 1):
        found = json.loads(Path(f"{script}.{rank}").read_text())
        for extra, (step, stopped, total, code) in zip(runs, found, strict=True):
            stages = 2 if extra.get("method", {}).get("name") in ("progressive", "incremental") else 1
            assert (step, stopped, total, code) == (2, True, 3 * stages, 0), (extra, rank)
    assert all((tmp_path / f"run-{number}" / "encoder.pt").exists() for number in range(len(runs)))
