"""The optimiser of a recipe and its learning-rate schedule."""

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from train.recipe import Optim


def make_optimizer(model: nn.Module, settings: Optim) -> torch.optim.Optimizer:
    """AdamW or SGD. Weights decay; with `decay=weights`, biases and BatchNorm's gains do not, since pulling those towards zero
    changes what is computed.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    decays = [p.ndim >= 2 or settings.decay == "all" for p in parameters]
    groups = [
        {"params": [p for p, does in zip(parameters, decays, strict=True) if does], "weight_decay": settings.weight_decay},
        {"params": [p for p, does in zip(parameters, decays, strict=True) if not does], "weight_decay": 0.0},
    ]
    if settings.kind == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas)


def make_schedule(optimizer: torch.optim.Optimizer, settings: Optim, total_steps: int) -> LambdaLR:
    """Linear warm-up, then half a cosine to zero at `total_steps`; one call of `step()` per training step."""
    return LambdaLR(optimizer, lambda step: lr_factor(step, warmup=settings.warmup_steps, total=total_steps))


def lr_factor(step: int, *, warmup: int, total: int) -> float:
    """Fraction of the full learning rate in step `step` (from 0): (step + 1) / warmup, then ½ (1 + cos π·progress)."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
