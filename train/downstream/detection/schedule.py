"""The learning rate of a step, as a pure function: linear warm-up, then a tenth at each milestone."""

from bisect import bisect_right

import torch
from torch import nn

from train.downstream.detection.settings import Schedule

GAMMA = 0.1
"""What a milestone multiplies the learning rate by."""


def learning_rate(settings: Schedule, step: int, *, batch: int) -> float:
    """The learning rate in step `step` (from 0).

    lr · batch / lr_batch · 0.1^(milestones not after `step`) · w, with w going from `warmup_factor` at step 0 linearly to 1 at
    `warmup_steps` (Goyal et al. 2017; the factor and the length that detectron2 has).

    Args:
        batch: pictures of a step, of all processes.
    """
    warm = 1.0
    if step < settings.warmup_steps:
        share = step / settings.warmup_steps
        warm = settings.warmup_factor * (1 - share) + share
    return settings.lr * batch / settings.lr_batch * GAMMA ** bisect_right(settings.milestones, step) * warm


def make_optimizer(model: nn.Module, settings: Schedule) -> torch.optim.SGD:
    """SGD with momentum. Everything decays but the gains and shifts of batch norm, as in the published set-up."""
    norms = {id(p) for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) for p in m.parameters(recurse=False)}
    learned = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if id(p) not in norms], "weight_decay": settings.weight_decay},
        {"params": [p for p in learned if id(p) in norms], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
