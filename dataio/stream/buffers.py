"""Batch memory that is used again once nobody holds it.

A fresh batch of a few hundred MiB costs tens of milliseconds of page faults. Here a tensor lends its memory: when the last view
of it is gone, wherever it went, the memory returns to the pool. A batch that the user keeps is simply not used again.
"""

import weakref
from collections import defaultdict
from threading import Lock

import numpy as np
import torch


class BufferPool:
    """Lends float32 tensors. Holds at most as much as was once out at the same time."""

    def __init__(self) -> None:
        self._free: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
        self._lock = Lock()
        self.bytes = 0

    def lend(self, shape: tuple[int, ...]) -> torch.Tensor:
        """A float32 tensor of this shape whose content is undefined."""
        with self._lock:
            memory = self._free[shape].pop() if self._free[shape] else None
        if memory is None:
            memory = np.empty(shape, np.float32)
            with self._lock:
                self.bytes += memory.nbytes
        loan = memory.view()  # torch keeps this view alive as long as any tensor shares its storage
        weakref.finalize(loan, self._take_back, shape, memory).atexit = False
        return torch.from_numpy(loan)

    def _take_back(self, shape: tuple[int, ...], memory: np.ndarray) -> None:
        with self._lock:
            self._free[shape].append(memory)

    def clear(self) -> None:
        """Let go of what is not lent."""
        with self._lock:
            self._free.clear()
