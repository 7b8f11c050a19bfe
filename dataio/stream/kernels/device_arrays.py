"""Memory on the device as kernels take it: one-dimensional, in words of whatever width."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda


@dataclass(frozen=True)
class Flat:
    """A contiguous array on the device. shape, dtype: as it came. address: of its first byte."""

    array: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    address: int

    def aligned(self, width: int) -> bool:
        """Whether it begins at a multiple of `width` bytes, and is a whole number of them long."""
        return self.address % width == 0 and int(np.prod(self.shape)) * self.dtype.itemsize % width == 0

    def words(self, kind: Any = None) -> Any:
        """The memory as (n,) of `kind`, or of its own dtype. Nothing is copied."""
        line = self.array.reshape(int(np.prod(self.shape)))
        return line if kind is None else line.view(kind)


def flat(values: Any, name: str) -> Flat:
    """What lies on the device, without waiting for the stream that it came from.

    Args:
        values: anything with `__cuda_array_interface__`, or an array of numba's. name: for messages.

    Raises:
        ValueError: it is not contiguous.
    """
    array = values if hasattr(values, "copy_to_host") else cuda.as_cuda_array(values, sync=False)
    if not array.is_c_contiguous():
        raise ValueError(f"{name} of shape {tuple(array.shape)} is not contiguous; expected C order")
    interface = getattr(array, "__cuda_array_interface__", None) or array.__array_interface__  # the latter in the simulator
    return Flat(array, tuple(array.shape), np.dtype(array.dtype), interface["data"][0] or 0)


def queue(stream: int) -> Any:
    """A raw stream handle as numba launches on it: it takes no number but 0, the default stream."""
    return cuda.external_stream(stream) if stream else 0
