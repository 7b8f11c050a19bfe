"""Memory that is used again once nobody holds it.

Fresh memory costs page faults: tens of milliseconds for a batch of a few hundred MiB, and as much as the read itself for the bytes
of a clip. Here an array lends its memory: when the last view of it is gone, wherever it went, the memory returns to the pool. What
the user keeps is simply not used again.
"""

import math
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import RLock

import numpy as np
import torch

_GRAIN = 64 * 1024  # bytes: sizes are rounded up to this, so that clips of nearly the same size share memory


def _fresh(size: int) -> np.ndarray:
    return np.empty(size, np.uint8)


class BufferPool:
    """Lends arrays and tensors. Holds at most as much as was once out at the same time.

    bytes: lent, and kept to be lent again.

    Args:
        allocate: gives (bytes,) uint8 of undefined content.
    """

    def __init__(self, allocate: Callable[[int], np.ndarray] = _fresh) -> None:
        self._allocate = allocate
        self._free: OrderedDict[int, deque[np.ndarray]] = OrderedDict()  # by size, the one used longest ago first
        # re-entrant, because the collector may run a finalizer, which takes it, while this thread already holds it
        self._lock = RLock()
        self._lent = self._most = self.bytes = 0

    def bytes_of(self, count: int) -> np.ndarray:
        """(count,) uint8 of undefined content."""
        size = -(-count // _GRAIN) * _GRAIN
        with self._lock:
            memory = self._pop(size)
            self._lent += size
            self._most = max(self._most, self._lent)
            self.bytes += size if memory is None else 0
            self._trim()
        memory = self._allocate(size) if memory is None else memory
        # whoever looks at the memory keeps this array alive; through a memoryview, as NumPy's views of views forget those between
        loan = np.frombuffer(memory.data, np.uint8)
        weakref.finalize(loan, self._take_back, memory).atexit = False
        return loan[:count]

    def lend(self, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> torch.Tensor:
        """A tensor of this shape whose content is undefined."""
        size = np.dtype(dtype).itemsize * math.prod(shape)
        return torch.from_numpy(self.bytes_of(size).view(dtype).reshape(shape))

    def _pop(self, size: int) -> np.ndarray | None:
        if not (free := self._free.get(size)):
            return None
        memory = free.pop()
        if free:
            self._free.move_to_end(size)
        else:
            del self._free[size]
        return memory

    def _take_back(self, memory: np.ndarray) -> None:
        with self._lock:
            self._lent -= len(memory)
            self._free.setdefault(len(memory), deque()).append(memory)
            self._free.move_to_end(len(memory))
            self._trim()

    def _trim(self) -> None:
        """Sizes differ from clip to clip, so what was lent once may never be asked for again."""
        while self._free and self.bytes > self._most:
            memory = self._pop(next(iter(self._free)))
            self.bytes -= len(memory) if memory is not None else 0

    def clear(self) -> None:
        """Let go of what is not lent."""
        with self._lock:
            self.bytes -= sum(size * len(free) for size, free in self._free.items())
            self._free.clear()
