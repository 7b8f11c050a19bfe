"""A finished MoCo run and a finished DenseCL run, made without training: their weights are noise, and so are the statistics."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from models.image import ImageEncoder
from train.checkpoint import save_checkpoint
from train.encoder_file import save_encoder
from train.objectives.densecl import DenseCL
from train.objectives.moco import MoCo
from train.recipe import Recipe
from train.recipe_file import dump_recipe

QUEUE, HIDDEN, OUT = 24, 512, 16
KINDS = (
    {"kind": "sound", "channels": 2, "width": 2, "depth": 2, "pool_time": 1},
    {"kind": "concatenated", "parts": [{"kind": "image", "name": "resnet18"}] * 2},
    {"kind": "image", "name": "resnet18"},
)
"""Descriptions of encoders."""


POOL = torch.rand(2**22 + 2**10, generator=torch.Generator().manual_seed(6))


def noise(module: nn.Module, seed: int) -> None:
    """Weights and statistics as after some training: two networks differ, and variances are positive."""
    with torch.no_grad():
        for number, (name, value) in enumerate(module.state_dict().items()):
            if value.is_floating_point():
                around = 1.0 if name.endswith(("running_var", "bn1.weight", "bn2.weight", "bn3.weight")) else 0.0
                first = 31 * seed + number
                value.copy_(POOL[first : first + value.numel()].view(value.shape)).sub_(0.5).mul_(0.2).add_(around)
            else:
                value.fill_(seed)


def pictures(count: int = 2, size: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(5))


def recipe(run: Path, task: str = "moco", **contrast) -> Recipe:
    return Recipe.model_validate(
        {
            "data": {"path": "/mnt/nobody/secret/shapes", "batch_size": 4},
            "objective": {"name": task},
            "contrast": {"queue": QUEUE, "hidden": HIDDEN, "out": OUT, **contrast},
            "optim": {"lr": 0.03, "weight_decay": 1e-4, "epochs": 3},
            "run": str(run),
        }
    )


def make_run(folder: Path, task: str = "moco", **contrast) -> MoCo:
    """The run folder, and the objective whose state it holds."""
    folder.mkdir()
    settings = recipe(folder, task, **contrast)
    objective = {"moco": MoCo, "densecl": DenseCL}[task](settings, ImageEncoder("resnet18"))
    for number, (name, part) in enumerate(objective.named_children(), 1):
        if "queue" not in name:
            noise(part, number)
    objective.queue.place.fill_(8)
    (folder / "recipe.yaml").write_text(dump_recipe(settings))
    save_encoder(folder, objective.encoder)
    loader = {"sets": ["shapes"], "fingerprint": {"/mnt/nobody/secret/shapes": "0123abcd"}, "epoch": 2, "position": 24}
    save_checkpoint(folder, {"model": objective.state_dict(), "step": 18, "total": 18, "loader": loader, "clips": 24})
    lines = [{"step": step, "loss": 3.0 - step / 10, "accuracy": 0.5, "lr": 0.01, "step_seconds": 0.3} for step in (17, 18)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "validation.jsonl").write_text(json.dumps({"step": 18, "loss": 1.75, "knn": 0.4375}) + "\n")
    return plain(objective)


def plain(objective: MoCo) -> MoCo:
    """In evaluation mode, its weights laid out in memory as other libraries do: then what they give is the same to the bit."""
    return objective.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> dict[str, tuple[Path, MoCo]]:
    """Both runs, made once."""
    folder = tmp_path_factory.mktemp("runs")
    return {task: (folder / task, make_run(folder / task, task)) for task in ("moco", "densecl")}


@pytest.fixture
def moco(made, tmp_path) -> MoCo:
    """What tmp_path / "run" holds."""
    folder, objective = made["moco"]
    return given(folder, tmp_path / "run", objective)


@pytest.fixture
def densecl(made, tmp_path) -> MoCo:
    """What tmp_path / "run" holds."""
    folder, objective = made["densecl"]
    return given(folder, tmp_path / "run", objective)


def given(source: Path, folder: Path, objective: MoCo) -> MoCo:
    """The run in a folder of the test's own; weights are only ever replaced, never changed in place, so they may be shared."""
    shutil.copytree(source, folder, copy_function=lambda a, b: os.link(a, b) if a.endswith(".pt") else shutil.copy(a, b))
    return objective
