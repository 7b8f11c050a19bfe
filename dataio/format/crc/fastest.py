"""The fastest CRC-32C that this machine has, as the address of a C function that compiled loops call without the GIL."""

import ctypes
import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dataio.format.crc import folding

_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)
_CHECKED = (0, 1, 7, 8, 63, 511, 512, 1055, 1056, 1057, 1456, 4099, 65_536, 120_001)  # lengths on either side of every branch
_SAMPLE = hashlib.shake_128(b"any bytes without a pattern").digest(max(_CHECKED) + 5)


def bundled() -> int:
    """The C library inside google_crc32c's wheel; 0 where there is none."""
    root = Path(google_crc32c.__file__).parent
    for path in sorted([*root.parent.glob("google_crc32c.libs/*crc32c*"), *root.glob(".dylibs/*crc32c*")]):
        try:
            return ctypes.cast(ctypes.CDLL(str(path)).crc32c_extend, ctypes.c_void_p).value or 0
        except (OSError, AttributeError):
            continue
    return 0


@_PROTOTYPE
def _through_python(crc, data, count):
    return google_crc32c.extend(crc, ctypes.string_at(data, count))


def portable() -> int:
    """google_crc32c's Python function; it takes the GIL, and works everywhere."""
    return ctypes.cast(_through_python, ctypes.c_void_p).value or 0


WAYS: tuple[Callable[[], int], ...] = (folding.address, bundled, portable)
"""What there may be, fastest first."""


@lru_cache(1)
def address() -> int:
    """Where the fastest `uint32 extend(uint32 crc, const char *data, size_t count)` of this machine lies.

    Each is tried on a sample first: one that is not there, or sums wrongly on this processor, gives way to the next.

    Raises:
        RuntimeError: none sums rightly.
    """
    for way in WAYS:
        found = way()
        if found and is_right(found):
            return found
    raise RuntimeError("no working CRC-32C on this machine: reinstall google-crc32c")


def is_right(function: int) -> bool:
    """Whether the function at this address agrees with google_crc32c on lengths that take every path through it."""
    call, sample = _PROTOTYPE(function), ctypes.create_string_buffer(_SAMPLE, len(_SAMPLE))
    begin = ctypes.addressof(sample)
    return all(
        call(77, begin + at, count) == google_crc32c.extend(77, _SAMPLE[at : at + count]) for count in _CHECKED for at in (0, 5)
    )


@intrinsic
def _call(typing, function, crc, data, count):
    """Call the function at an address: the CRC-32C of what was summed up in `crc`, then `count` bytes at the address `data`."""

    def generate(context, builder, signature, arguments):
        target, *values = arguments
        kinds = [value.type for value in values]
        code = builder.inttoptr(target, ir.FunctionType(values[0].type, kinds).as_pointer())
        return builder.call(code, values)

    return types.uint32(types.uintp, types.uint32, types.uintp, types.uintp), generate


extend: Any = _call  # to a type checker an intrinsic has the parameters of its code, not of its calls
