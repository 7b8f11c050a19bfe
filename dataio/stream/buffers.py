"""Memory that is used again once nobody holds it.

Fresh memory costs page faults: tens of milliseconds for a batch of a few hundred MiB, and as much as the read itself for the bytes
of a clip. Here an array lends its memory: when the last view of it is gone, wherever it went, the memory returns to the pool. What
the user keeps is simply not used again.
"""

import math
import weakref
from collections import deque
from threading import RLock

import numpy as np
import torch

_GRAIN = 64 * 1024  # bytes: sizes are rounded up to this, so that clips of nearly the same size share memory


class BufferPool:
    """Lends arrays and tensors. Holds at most as much as was once out at the same time."""

    def __init__(self) -> None:
        self._free: dict[int, deque[np.ndarray]] = {}
        # re-entrant, because the collector may run a finalizer, which takes it, while this thread already holds it
        self._lock = RLock()
        self.bytes = 0

    def bytes_of(self, count: int) -> np.ndarray:
        """(count,) uint8 of undefined content."""
        size = -(-count // _GRAIN) * _GRAIN
        with self._lock:
            free = self._free.setdefault(size, deque())
            memory = free.pop() if free else None
            self.bytes += 0 if memory is not None else size
        memory = np.empty(size, np.uint8) if memory is None else memory
        # whoever looks at the memory keeps this array alive; through a memoryview, as NumPy's views of views forget those between
        loan = np.frombuffer(memory.data, np.uint8)
        weakref.finalize(loan, self._take_back, memory).atexit = False
        return loan[:count]

    def lend(self, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> torch.Tensor:
        """A tensor of this shape whose content is undefined."""
        size = np.dtype(dtype).itemsize * math.prod(shape)
        return torch.from_numpy(self.bytes_of(size).view(dtype).reshape(shape))

    def _take_back(self, memory: np.ndarray) -> None:
        with self._lock:
            self._free.setdefault(len(memory), deque()).append(memory)

    def clear(self) -> None:
        """Let go of what is not lent."""
        with self._lock:
            self._free.clear()
