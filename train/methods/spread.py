"""How far features are spread, as the unit of a distance between encoders."""

import torch
import torch.distributed as dist
from torch import Tensor

from train.objectives.gather import processes


@torch.no_grad()
def spread(features: Tensor) -> Tensor:
    """Standard deviation of all numbers of a batch, of all processes together: 0-dimensional, at least 1e-6.

    Of all, which have equally many each, so that several processes have the loss of one with the joint batch.
    """
    mean = _everywhere(features.mean())
    return _everywhere((features - mean).square().mean()).sqrt().clamp_min(1e-6)


def _everywhere(mean: Tensor) -> Tensor:
    """The mean over all processes."""
    if processes() > 1:
        dist.all_reduce(mean)
        mean = mean / processes()
    return mean
