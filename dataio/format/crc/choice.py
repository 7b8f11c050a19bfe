"""The fastest CRC-32C that this machine has, for compiled loops that run without the GIL."""

import ctypes
import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import numpy as np

from dataio.format.crc import folding
from dataio.format.crc.polynomial import power_table, times

_EXTEND = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)
_TIMES = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)
_CHECKED = (0, 1, 7, 8, 127, 128, 191, 192, 512, 1055, 1056, 1456, 4099, 65_536, 120_001)  # lengths on either side of every branch
_SAMPLE = hashlib.shake_128(b"bytes without a pattern").digest(max(_CHECKED) + 5)


class Engine(NamedTuple):
    """What compiled functions need to sum up bytes."""

    extend: int  # address of `uint32 extend(uint32 crc, const char *data, size_t count)`
    times: int  # address of `uint32 times(uint32, uint32)`; 0: there is none, and polynomial.py's does it
    powers: np.ndarray  # (6, 256) uint32: entry (j, b) is x to the power 8·b·256^j, enough for parts of 256 TiB
    memo: np.ndarray  # (2,) int64: the last length of a part and its power, at first −1


def engine() -> Engine:
    """One for one thread: it keeps a memo.

    Raises:
        RuntimeError: nothing on this machine sums rightly.
    """
    return Engine(extend_address(), times_address(), _powers(), np.full(2, -1, np.int64))


def folded() -> int:
    """Our own code, for processors that multiply without carries in registers of 64 bytes."""
    return folding.address("extend")


def bundled() -> int:
    """The C library inside google_crc32c's wheel; 0 where there is none."""
    root = Path(google_crc32c.__file__).parent
    for path in sorted([*root.parent.glob("google_crc32c.libs/*crc32c*"), *root.glob(".dylibs/*crc32c*")]):
        try:
            return ctypes.cast(ctypes.CDLL(str(path)).crc32c_extend, ctypes.c_void_p).value or 0
        except (OSError, AttributeError):
            continue
    return 0


@_EXTEND
def _through_python(crc, data, count):
    return google_crc32c.extend(crc, ctypes.string_at(data, count))


def portable() -> int:
    """google_crc32c's Python function; it takes the GIL, and works everywhere."""
    return ctypes.cast(_through_python, ctypes.c_void_p).value or 0


WAYS: tuple[Callable[[], int], ...] = (folded, bundled, portable)
"""To extend a checksum, fastest first."""


@lru_cache(1)
def extend_address() -> int:
    """The first of the ways that is there and sums rightly on this processor."""
    for way in WAYS:
        found = way()
        if found and extends_rightly(found):
            return found
    raise RuntimeError("no working CRC-32C on this machine: install google-crc32c again")


@lru_cache(1)
def times_address() -> int:
    found = folding.address("times")
    return found if found and multiplies_rightly(found) else 0


def extends_rightly(function: int) -> bool:
    """Whether the function at this address agrees with google_crc32c on lengths that take every path through it."""
    call, sample = _EXTEND(function), ctypes.create_string_buffer(_SAMPLE, len(_SAMPLE))
    begin = ctypes.addressof(sample)
    return all(
        call(77, begin + at, count) == google_crc32c.extend(77, _SAMPLE[at : at + count]) for count in _CHECKED for at in (0, 5)
    )


def multiplies_rightly(function: int) -> bool:
    call, sample = _TIMES(function), np.frombuffer(_SAMPLE, np.uint32, 64)
    return all(call(int(a), int(b)) == times(a, b) for a, b in zip(sample, sample[::-1], strict=True))


@lru_cache(1)
def _powers() -> np.ndarray:
    return power_table(8, 6, 0)
