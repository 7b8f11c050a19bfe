"""The key encoder: a slowly moving average of the query encoder, whose batch norm sees other companions."""

from collections.abc import Callable
from copy import deepcopy

import torch
import torch.distributed as dist
from torch import Tensor, nn

from train.objectives.gather import first_row, gathered, processes


def follower(query: nn.Module) -> nn.Module:
    """A copy that no gradient reaches; `follow` moves it."""
    return deepcopy(query).requires_grad_(False)


@torch.no_grad()
def follow(key: nn.Module, query: nn.Module, momentum: float) -> None:
    """θ_k ← m θ_k + (1 − m) θ_q, for all parameters; batch norm's statistics are the key encoder's own (He et al., 2020, equation
    2).
    """
    for slow, fast in zip(key.parameters(), query.parameters(), strict=True):
        slow.lerp_(fast, 1 - momentum)


@torch.no_grad()
def shuffled(encode: Callable[[Tensor], tuple[Tensor, ...]], pictures: Tensor, groups: int) -> tuple[Tensor, ...]:
    """Keys of the pictures, each encoded in other company than its query was.

    Batch norm mixes what is normalised together, so that a query could know its key by their common companions, and the loss would
    fall without anything being learned. So the joint batch of all processes is dealt out in a random order, encoded in parts, and
    put in order again (He et al., 2020, section 3.3).

    Args:
        encode: from pictures (n, …) to tensors (n, …) each.
        pictures: (N, …), equally many in every process.
        groups: parts that are encoded one after another within a process, each normalised alone. With several processes 1 will do.

    Returns:
        what `encode` gives for the N pictures of this process, in their order.
    """
    count = len(pictures)
    if count % groups:
        raise ValueError(f"a batch of {count} pictures does not divide into {groups} groups for batch norm")
    order = torch.randperm(processes() * count, device=pictures.device)
    if processes() > 1:
        dist.broadcast(order, 0)
    own = slice(first_row(count), first_row(count) + count)
    parts = [encode(part) for part in gathered(pictures)[order[own]].split(count // groups)]
    encoded = [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
    back = order.argsort()[own]
    return tuple(gathered(tensor)[back] for tensor in encoded)
