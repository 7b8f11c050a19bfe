"""Two processes: the mean of their gradients, one order of pictures, one result; and one of them alone can go on."""

import json
import os
import subprocess
import sys
from copy import deepcopy

import pytest
import torch

from models.image import ImageEncoder
from tests.train.downstream.detection.tiny_coco import settings_of
from train.checkpoint import load_checkpoint
from train.downstream.detection.annotations import read_annotations
from train.downstream.detection.data import Examples, pictures_of
from train.downstream.detection.fit import seed_step, to_device
from train.downstream.detection.judge import average_precision, detections
from train.downstream.detection.model import make_detector
from train.downstream.detection.order import places
from train.downstream.detection.run import detect
from train.downstream.detection.schedule import learning_rate, make_optimizer
from train.downstream.detection.settings import Detection
from train.downstream.detection.settings_file import dump_detection
from train.log import read_log
from train.world import World, torch_threads

SCRIPT = """
import contextlib, json, os, signal, sys
from pathlib import Path

import torch
import train.downstream.detection.run as run
from train.downstream.detection.annotations import read_annotations
from train.downstream.detection.claim import start_of
from train.downstream.detection.data import pictures_of, read_training_set
from train.downstream.detection.fit import fit
from train.downstream.detection.judge import detections
from train.downstream.detection.settings_file import load_detection
from train.interrupt import Interrupt
from train.log import RunLog
from train.world import join_world, torch_threads

note = RunLog.note

def noted(self, at, *args, **kwargs):
    if at == 2 and os.environ["RANK"] == "1":  # the second is asked to stop, and both do
        os.kill(os.getpid(), signal.SIGTERM)
    note(self, at, *args, **kwargs)

RunLog.note = noted
settings, whole = (load_detection(path) for path in sys.argv[1:])
with join_world("cpu") as world, torch_threads(1):
    with Interrupt() as interrupt:
        model, code = fit(settings, read_training_set(settings.data.train), None, world, interrupt)
    if world.first:
        torch.save(model.state_dict(), settings.run.parent / "two.pt")
    val = read_annotations(settings.data.val)
    pictures = pictures_of(val, learnt=False)
    found = detections(model, settings.data.val_pictures, pictures, list(val.categories), world)
    run.join_world = lambda device: contextlib.nullcontext(world)  # torchrun starts a process once
    result = run.detect(whole)
    told = {"model": start_of(model), "code": code, "found": found, "result": result}
    Path(f"{sys.argv[0]}.{world.rank}").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def ran(tiny, tmp_path_factory):
    """What each of two processes told, and the settings of their trainings: one stopped at step 2 of 3, and one of 1 step."""
    folder = tmp_path_factory.mktemp("ranks")
    more = {"data": {"batch_size": 1}, "optim": {"warmup_steps": 0, "lr": 0.02}}
    settings = Detection.model_validate(settings_of(tiny, folder / "run", **more))
    whole = settings.model_copy(update={"run": folder / "whole", "optim": settings.optim.model_copy(update={"steps": 1})})
    for name, some in (("settings", settings), ("whole", whole)):
        (folder / f"{name}.yaml").write_text(dump_detection(some))
    (folder / "main.py").write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(folder / "main.py"), str(folder / "settings.yaml"), str(folder / "whole.yaml")]
    ended = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    return [json.loads((folder / f"main.py.{rank}").read_text()) for rank in (0, 1)], settings, whole


def test_both_stop_agree_and_return_one_result(ran):
    (one, two), _, whole = ran
    assert {one["code"], two["code"]} == {130, 143}  # only one of them was sent the signal
    assert one["model"] == two["model"]
    assert two["found"] == []
    (first, code), (second, other) = one["result"], two["result"]
    assert first == second and (code, other) == (0, 0)
    assert first["joint_batch"] == 2 and json.loads((whole.run / "result.json").read_text()) == first


def test_gradients_are_the_mean_of_both(ran):
    """Two steps of both processes, done here one after the other; each has its own batch norm, and the first one's is kept."""
    _, settings, _ = ran
    with torch_threads(1):
        model, began, means = both_at_once(settings, steps=2)
    assert [line["loss"] for line in read_log(settings.run)[:2]] == pytest.approx(means, rel=1e-5)
    saved = torch.load(settings.run.parent / "two.pt", weights_only=True)
    gone = miss = 0.0
    for name, value in model.state_dict().items():
        gone += float((value - began[name]).float().square().sum())
        miss += float((value - saved[name]).float().square().sum())
    assert gone > 0 and (miss / gone) ** 0.5 < 0.01


def both_at_once(settings: Detection, *, steps: int) -> tuple:
    """The first process's detector after so many steps of both, its weights before, and the mean losses."""
    pictures = pictures_of(read_annotations(settings.data.train), learnt=True)
    read = Examples(settings.data.train_pictures, pictures)
    torch.manual_seed(settings.seed)
    model = make_detector(ImageEncoder("resnet18"), classes=3, heads=settings.heads, min_size=(64,), max_size=96).train()
    began = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = make_optimizer(model, settings.optim)
    streams = [places(0, len(pictures), settings.seed, batch=1, rank=rank, world=2) for rank in (0, 1)]
    means = []
    for step in range(steps):
        other = deepcopy(model)
        losses = []
        for rank, replica in enumerate((model, other)):
            seed_step(settings.seed, step, rank)
            loss = torch.stack(list(replica(*to_device([read(next(streams[rank]))], torch.device("cpu"))).values())).sum()
            replica.zero_grad()
            loss.backward()
            losses.append(loss.item())
        for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
            mine.grad = (mine.grad + theirs.grad) / 2
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings.optim, step, batch=2)
        optimizer.step()
        means.append(sum(losses) / 2)
    return model, began, means


def test_one_finds_what_two_find_and_goes_on_alone(ran):
    (one, _), settings, _ = ran
    saved = load_checkpoint(settings.run)
    assert (saved["step"], saved["seen"]) == (2, 4)
    val = read_annotations(settings.data.val)
    model = make_detector(ImageEncoder("resnet18"), classes=3, heads=settings.heads, min_size=(64,), max_size=96)
    model.load_state_dict(saved["model"])
    pictures, alone = pictures_of(val, learnt=False), World(0, 1, torch.device("cpu"))
    found = detections(model, settings.data.val_pictures, pictures, list(val.categories), alone)
    assert [(f["image_id"], f["category_id"]) for f in found] == [(f["image_id"], f["category_id"]) for f in one["found"]]
    assert [f["score"] for f in found] == pytest.approx([f["score"] for f in one["found"]], abs=1e-5)
    assert average_precision(val, found)["box_ap"] == pytest.approx(average_precision(val, one["found"])["box_ap"], abs=1e-4)

    result, code = detect(settings)
    assert code == 0 and result["joint_batch"] == 1
    assert load_checkpoint(settings.run)["seen"] == 5  # no picture lost, none twice
