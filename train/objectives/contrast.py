"""InfoNCE with negatives from all processes."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F


def info_nce(
    anchors: Tensor, candidates: Tensor, positive: Tensor, temperature: float, *, leave_out: Tensor | None = None
) -> Tensor:
    """−E_i log(exp(p_i · a_i / τ) / (exp(p_i · a_i / τ) + Σ_n exp(n · a_i / τ))) (equation 2).

    Args:
        anchors: (N, D), the a_i.
        candidates: (M, D): the positives p_i and the negatives n of all anchors.
        positive: (N,) int64: which candidate is p_i.
        temperature: τ.
        leave_out: (N, M) bool: candidates that are neither to this anchor, such as another positive of it.

    Returns:
        the mean over the anchors, 0-dimensional.
    """
    with torch.autocast(anchors.device.type, enabled=False):  # which would multiply in half precision, and then divide by a small τ
        logits = at_least_float32(anchors) @ at_least_float32(candidates).T / temperature
    if leave_out is not None:
        own = F.one_hot(positive, len(candidates)).bool()
        logits = logits.masked_fill(leave_out & ~own, -torch.inf)
    return F.cross_entropy(logits, positive)


def gathered(values: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks: (N, …) to (world · N, …). Gradients flow back to whom they belong to.

    With each process's loss a mean over its own anchors, the mean over the processes (which is what DistributedDataParallel takes
    of the gradients) is the loss of the joint batch. All processes must have equally many rows."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return values
    return _Gather.apply(values)  # type: ignore[no-any-return, no-untyped-call]


class _Gather(torch.autograd.Function):
    """All rows there, and the sum of what all processes want of one's own rows back.

    torch.distributed.nn has one too, which keeps to the process group there was when it was imported: a second run in the same
    process, after the first has left its group, could not go back through it.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.rows = len(values)
        found = [torch.empty_like(values, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
        dist.all_gather(found, values.contiguous())
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        first = ctx.rows * dist.get_rank()
        return total[first : first + ctx.rows]


def processes() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def first_row(rows: int) -> int:
    """Where this process's rows begin in what `gathered` gives."""
    return rows * dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def at_least_float32(values: Tensor) -> Tensor:
    """Out of the half precision of autocast, in which a softmax over thousands of candidates would be coarse."""
    return values if values.dtype == torch.float64 else values.float()


def unit(values: Tensor) -> Tensor:
    """On the unit sphere along dimension 1, at least in float32."""
    return F.normalize(at_least_float32(values), dim=1)
