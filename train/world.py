"""The processes of one run: one alone, or those that torchrun started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class World:
    """This process among those of the run, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks to people."""
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean of a tensor over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size
        return values

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """The rows of all processes, in the order of their ranks; each may have another number of them."""
        if self.size == 1:
            return values
        counts = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        counts[self.rank] = len(values)
        dist.all_reduce(counts)
        most = int(counts.max())
        padded = values.new_zeros((most, *values.shape[1:]))
        padded[: len(values)] = values
        found = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(found, padded)
        return torch.cat([rows[:count] for rows, count in zip(found, counts.tolist(), strict=True)])

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process. All must call it."""
        if self.size == 1:
            return flag
        value = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value.item())


def pick_device(device: str) -> torch.device:
    """`cpu`, `cuda`, or `auto` for a GPU where there is one; under torchrun each process has its own.

    Raises:
        ValueError: a GPU is asked for and torch sees none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but torch sees no GPU here; allowed: 'cpu', or 'auto' to take what is there")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let torch compute with this many threads, None for as many as it does anyway; its former number returns at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """Join the processes that torchrun started (gloo on the CPU, nccl on GPUs), or be alone; leaves them at the end."""
    where = pick_device(device)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, where)
        return
    dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, where)
    finally:
        dist.destroy_process_group()
