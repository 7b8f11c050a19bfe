"""The learning rate at the steps that matter, and what decays."""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LinearLR, MultiStepLR

from models.image import ImageEncoder
from train.downstream.detection.model import make_detector
from train.downstream.detection.schedule import learning_rate, make_optimizer
from train.downstream.detection.settings import Heads, Schedule


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 2e-5),
        (500, 0.01001),
        (999, 0.02 * 0.999001),
        (1000, 0.02),
        (59_999, 0.02),
        (60_000, 2e-3),
        (80_000, 2e-4),
        (89_999, 2e-4),
    ],
)
def test_the_published_values(step, expected):
    assert learning_rate(Schedule(), step, batch=16) == pytest.approx(expected, rel=1e-12)


def test_it_is_in_proportion_to_the_joint_batch():
    assert learning_rate(Schedule(), 2000, batch=4) == pytest.approx(0.005)


def test_it_is_what_torch_makes_of_the_same_numbers():
    settings = Schedule(warmup_steps=4, warmup_factor=0.1, milestones=(6, 9), steps=12)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.02)
    warm = LinearLR(optimizer, start_factor=0.1, end_factor=1.0, total_iters=4)
    steps = MultiStepLR(optimizer, [6, 9], gamma=0.1)
    for step in range(12):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(learning_rate(settings, step, batch=16), rel=1e-9)
        optimizer.step()
        warm.step()
        steps.step()


def test_batch_norm_does_not_decay_and_everything_else_does():
    model = make_detector(ImageEncoder("resnet18"), classes=2, heads=Heads(channels=8, convolutions=1, hidden=16))
    optimizer = make_optimizer(model, Schedule())
    decaying, others = optimizer.param_groups
    assert (decaying["weight_decay"], others["weight_decay"], others["momentum"]) == (1e-4, 0.0, 0.9)
    norms = {id(p) for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    assert {id(p) for p in others["params"]} == norms
    assert len(decaying["params"]) + len(others["params"]) == len(list(model.parameters()))
