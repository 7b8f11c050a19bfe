"""The joint batch: the rows of all processes, and which of them are one's own."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def gathered(values: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks: (N, …) to (world · N, …). Gradients flow back to whom they belong to.

    With each process's loss a mean over its own anchors, the mean over the processes (which is what DistributedDataParallel takes
    of the gradients) is the loss of the joint batch. All processes must have equally many rows."""
    if processes() == 1:
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
