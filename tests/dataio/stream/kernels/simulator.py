"""numba's CUDA simulator with threads that take turns; import it in the process that simulates.

The simulator has an operating system's thread for each of CUDA's (numba-cuda 0.30, simulator/kernel.py). Hundreds of them wake each
other through one lock, which on a loaded machine takes minutes, and two that come at once may allocate the shared memory of their
block twice. Here they are greenlets: one runs at a time, until it ends or waits for others. The order in which they go on is
shuffled, the same way in every run: a kernel that lacks a barrier reads what is not there yet. Shared memory is no number at the
beginning of every block, rather than what the last one left.
"""

import random
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from greenlet import getcurrent, greenlet
from numba.cuda import types
from numba.cuda.np import numpy_support
from numba.cuda.simulator import kernel, kernelapi

from dataio.stream.kernels import stft_cuda_simulated

_NOWHERE = 1000  # rounds without a barrier or an end, after which nobody is thought to come


class _Thread(greenlet):
    """One of a block's, with what the simulator asks of a thread of the operating system."""

    def __init__(self, run: Callable[[], None], block: tuple[int, ...], place: tuple[int, ...], size: tuple[int, ...]) -> None:
        super().__init__(run)
        self.blockIdx, self.threadIdx = kernelapi.Dim3(*block), kernelapi.Dim3(*place)
        self.thread_id = place[0] + size[0] * (place[1] + size[1] * place[2])
        self.at_barrier = False

    def syncthreads(self) -> None:
        self.at_barrier = True
        self.parent.switch()


class _Few:
    """`threading.Barrier` for some threads of a block, as those of a warp that exchange values."""

    def __init__(self, parties: int) -> None:
        self.parties, self.here, self.met = parties, 0, 0

    def wait(self, timeout: float | None = None) -> None:
        met = self.met
        self.here += 1
        if self.here == self.parties:
            self.here, self.met = 0, met + 1
        while self.met == met:
            _current().parent.switch()


def _current() -> Any:
    found = getcurrent()
    return found if isinstance(found, _Thread) else threading.current_thread()


def _run_block(self: kernel.BlockManager, block: tuple[int, ...], *args: Any) -> None:
    shared = kernel._get_kernel_context().shared
    shared._allocations.clear()
    shared._dynshared.view(np.uint8)[:] = 0xFF  # no number, in any kind of float
    rng = random.Random(repr(block))

    def run() -> None:
        try:
            self._f(*args)
        except Exception as error:
            error.add_note(f"in block {block}, thread {tuple(getcurrent().threadIdx)}")
            raise

    live, idle = [_Thread(run, block, place, self._block_dim) for place in np.ndindex(*self._block_dim)], 0
    while live:
        rng.shuffle(live)
        for thread in live:
            if not thread.at_barrier:
                thread.switch()
        ended = len(live)
        live = [thread for thread in live if not thread.dead]
        together = all(thread.at_barrier for thread in live)
        for thread in live if together else ():
            thread.at_barrier = False
        idle = 0 if together or ended > len(live) else idle + 1
        if idle > _NOWHERE:
            raise RuntimeError(f"block {block}: threads wait for each other, some at a barrier and some elsewhere")


_dynamic = kernelapi.FakeCUDAShared.array


def _shared_array(self: kernelapi.FakeCUDAShared, shape: Any, dtype: Any, alignment: int | None = None) -> np.ndarray:
    if shape == 0:  # of the size that the launch says
        return _dynamic(self, shape, dtype, alignment)
    caller = sys._getframe(1)
    where = caller.f_code.co_filename, caller.f_lineno
    if where not in self._allocations:
        array = np.empty(shape, numpy_support.as_dtype(dtype) if isinstance(dtype, types.Type) else dtype)
        array.reshape(-1).view(np.uint8)[:] = 0xFF
        self._allocations[where] = array
    return self._allocations[where]


kernelapi.FakeCUDAShared.array = _shared_array
kernel.BlockManager.run = _run_block
kernelapi.threading = SimpleNamespace(current_thread=_current)
stft_cuda_simulated.threading = SimpleNamespace(current_thread=_current, Barrier=_Few)
