"""A GPU by torch, numba and DALI. Written for one, and not yet run: what is built on it is tried with a device that is late."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import numpy as np
import torch

from dataio.stream.buffers import BufferPool
from dataio.stream.device.device import Event, blocks


class CudaEvent:
    """Waiting for it leaves the core to others."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self.event = torch.cuda.Event(enable_timing=True, blocking=True)
        self.event.record(stream)

    def passed(self) -> bool:
        return self.event.query()

    def wait(self) -> None:
        self.event.synchronize()

    def since(self, earlier: Self) -> float:
        return earlier.event.elapsed_time(self.event) / 1000


class Cuda:
    """One of the GPUs of this machine, with a stream of its own. See `Device`.

    Args:
        name: `cuda:3`.
    """

    def __init__(self, name: str) -> None:
        self.name, self.where = name, torch.device(name)
        self._stream = torch.cuda.Stream(self.where)
        self.host = BufferPool(partial(_locked, self.where))

    @contextmanager
    def entered(self) -> Iterator[None]:
        from numba import cuda

        # the current device is a matter of the thread, and numba has a stack of its own beside torch's
        with torch.cuda.device(self.where), torch.cuda.stream(self._stream), cuda.gpus[self.where.index]:
            yield

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device=self.where)

    def send(self, values: torch.Tensor) -> torch.Tensor:
        return self.empty(tuple(values.shape), values.dtype).copy_(values, non_blocking=True)

    def tables(self, resize: Any) -> Any:
        from dataio.stream.kernels import rotate_cuda

        return rotate_cuda.Tables(resize)

    def launch(self, kernel: Callable[..., None], *arguments: Any) -> None:
        kernel(*arguments, self._stream.cuda_stream)

    def share(self, pipe: Any) -> Any:
        return pipe.share_outputs(cuda_stream=self._stream)[0]

    def blocks(self, output: Any) -> list[torch.Tensor]:
        return blocks(output)

    def mark(self) -> CudaEvent:
        return CudaEvent(self._stream)

    def hand_over(self, ready: Event, tensors: Iterable[torch.Tensor]) -> None:
        assert isinstance(ready, CudaEvent)
        stream = torch.cuda.current_stream(self.where)
        stream.wait_event(ready.event)
        for tensor in tensors:
            tensor.record_stream(stream)


def _locked(where: torch.device, size: int) -> np.ndarray:
    """Page-locked memory, (size,) uint8, which the device copies from by itself. torch keeps what is dropped, for the next."""
    with torch.cuda.device(where):  # any thread may ask, and must not wake the first GPU for it
        return torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()
