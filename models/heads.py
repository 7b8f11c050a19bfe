"""Heads that know no task: perceptrons on feature vectors."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def perceptron(features: int, hidden: int, out: int) -> nn.Sequential:
    """Two layers with a ReLU between them: (B, features) to (B, out)."""
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, out))


class Projection(nn.Module):
    """A perceptron, or without `hidden` one linear layer, whose output lies on the unit sphere: (B, features) to (B, out) of L2
    norm 1, in float32 at least.
    """

    def __init__(self, features: int, out: int, *, hidden: int | None) -> None:
        super().__init__()
        self.layers = perceptron(features, hidden, out) if hidden else nn.Linear(features, out)

    def forward(self, features: Tensor) -> Tensor:
        out = self.layers(features)
        return F.normalize(out.to(torch.promote_types(out.dtype, torch.float32)), dim=1)
