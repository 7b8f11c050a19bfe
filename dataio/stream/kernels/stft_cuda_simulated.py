"""What stft_cuda_scalars.py gives threads, for numba's CUDA simulator: NumPy scalars, checked places, and warps that meet."""

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

HALF = 16


def _thread() -> Any:
    """The simulated one; numba makes `cuda` speak of it only in the module of a kernel."""
    return threading.current_thread()


class Memory:
    """A flat array from some place on; a place outside of it is an error, also below zero."""

    def __init__(self, array: Any, start: int = 0) -> None:
        self.array = array
        self.start = start

    def at(self, place: Any) -> "Memory":
        """The same array from a place on."""
        return Memory(self.array, self.start + int(place))

    def _to(self, offset: int, width: int = 1) -> int:
        place = self.start + offset
        if place < 0 or place + width > self.array.size or place % width:
            raise IndexError(f"{width} from {place} in an array of {self.array.size}")
        return place

    def __getitem__(self, offset: int) -> Any:
        return self.array[self._to(offset)]

    def __setitem__(self, offset: int, number: Any) -> None:
        self.array[self._to(offset)] = number

    def two(self, offset: int) -> tuple[Any, Any]:
        """As on the device."""
        place = self._to(offset, 2)
        return self.array[place], self.array[place + 1]

    def put_two(self, offset: int, first: Any, second: Any) -> None:
        """As on the device."""
        place = self._to(offset, 2)
        self.array[place], self.array[place + 1] = first, second


class _Two:
    """Where a lane and the one 16 away exchange values."""

    _all: ClassVar[dict[tuple[int, ...], "_Two"]] = {}
    _lock = threading.Lock()

    def __init__(self) -> None:
        self.meet = threading.Barrier(2)
        self.values: list[Any] = [None, None]

    @classmethod
    def own(cls) -> "_Two":
        here = int(_thread().blockIdx.x), int(_thread().threadIdx.y), int(_thread().threadIdx.x) % HALF
        with cls._lock:
            return cls._all.setdefault(here, cls())


class Integers:
    """As on the device, without an end."""

    def plus(self, a: Any, b: Any) -> int:
        return int(a) + int(b)

    def minus(self, a: Any, b: Any) -> int:
        return int(a) - int(b)

    def times(self, a: Any, b: int) -> int:
        return int(a) * b

    def is_zero(self, a: Any) -> bool:
        return int(a) == 0

    def other_column(self, warp: Any) -> int:
        return 16 - int(warp) if warp else 8


class Machine:
    """As on the device."""

    integers = Integers()

    def number(self, x: float) -> Any:
        return np.float32(x)

    def barrier(self) -> None:
        _thread().syncthreads()

    def log(self, x: Any) -> Any:
        return np.log(x)

    def sqrt(self, x: Any) -> Any:
        return np.sqrt(x)

    def rsqrt(self, x: Any) -> Any:
        # the device has infinity for 0, and no number for 0 times that; `above` throws it away there, and here there is no warning
        return np.float32(1) / np.sqrt(max(x, np.finfo(np.float32).tiny))

    def above(self, x: Any, floor: Any, then: Any, otherwise: Any) -> Any:
        return then if x > np.float32(floor) else np.float32(otherwise)

    def choose(self, condition: Any, then: Any, otherwise: Any) -> Any:
        return then if condition else np.float32(otherwise)

    def lanes(self, condition: Any) -> None:
        return None

    def across(self, x: Any, lanes: None) -> Any:
        two, side = _Two.own(), int(_thread().threadIdx.x) // HALF
        two.values[side] = x
        two.meet.wait(60)
        found = two.values[1 - side]
        two.meet.wait(60)
        return found

    def branch(self, condition: Any, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
        then() if condition else otherwise()

    def when(self, condition: Any, then: Callable[[], None]) -> None:
        if condition:
            then()


def thread_code(function: Callable[..., None]) -> Callable[..., None]:
    """The function as it is, with arrays in `Memory`."""

    def run(*arguments: Any) -> None:
        function(Machine(), *(Memory(value) if getattr(value, "ndim", 0) == 1 else value for value in arguments))

    return run
