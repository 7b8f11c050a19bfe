"""Temporal gap (task C of the paper): how far apart are two slices of one recording?"""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.encoder import Encoder
from models.heads import perceptron
from models.sound import pool_over_time
from train.objectives.base import Batch, Metrics, Objective, pooled_size
from train.objectives.contrast import at_least_float32
from train.recipe import Recipe


class TemporalGap(Objective):
    """Both slices through one encoder, a perceptron on both features and how they differ, and the Huber loss.

    L_huber(δ, δ̂) = ½ (δ − δ̂)² where |δ − δ̂| ≤ ε, else ε |δ − δ̂| − ½ ε²; averaged over the pairs (supplement, section 1, where
    ε = 1.5). δ is the gap as a fraction of the largest, `data.reach`: its size, or with `signed` positive where the second slice is
    the later one.
    """

    FIELDS = ("sound", "partner_sound", "gap")

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__(recipe, encoder)
        self.huber, self.signed = recipe.objective.huber, recipe.objective.signed
        self.head = perceptron(3 * pooled_size(encoder, recipe), 2 * recipe.model.embedding, 1)

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and `error`: the mean of |δ − δ̂|."""
        count = len(batch["sound"])
        first, second = pool_over_time(self.encoder(torch.cat([batch["sound"], batch["partner_sound"]]))).split(count)
        change = second - first
        both = torch.cat([first, second, change if self.signed else change.abs()], dim=1)
        predicted = at_least_float32(self.head(both))[:, 0]
        gap = (batch["gap"] if self.signed else batch["gap"].abs()).to(predicted.dtype)
        return F.huber_loss(predicted, gap, delta=self.huber), {"error": (predicted.detach() - gap).abs().mean()}
