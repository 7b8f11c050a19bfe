"""Summing up in compiled loops: CRC-32C of bytes at an address, and of a whole from the checksums of its parts.

Bytes that follow multiply a checksum by x^(8·count): CRC(AB) = CRC(A)·x^(8·|B|) + CRC(B), for the inversions before and after
cancel out. A power of x is a product of table entries.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dataio.format.compiled import part
from dataio.format.crc import polynomial
from dataio.format.crc.choice import engine

_ONE = np.uint32(0x80000000)


@part
def extend(e, crc, address, count):
    """CRC-32C of what was summed up in `crc`, then `count` bytes at an address. e: `choice.Engine`."""
    return _extend_at(e.extend, crc, address, count)


@part
def shift(e, crc, count):
    """The checksum as it would be with `count` zero bytes after it, up to the part that the zeros' own checksum has."""
    if e.memo[0] != count:  # blocks and pieces of one length follow each other
        power, rest, j = _ONE, count, 0
        while rest:
            if rest & 255:
                entry = e.powers[j, rest & 255]
                power = entry if power == _ONE else _times(e, power, entry)
            rest >>= 8
            j += 1
        e.memo[0], e.memo[1] = count, power
    return _times(e, np.uint32(e.memo[1]), crc)


@part
def _times(e, a, b):
    return _times_at(e.times, a, b) if e.times else polynomial.times(a, b)


def combine(first: int, second: int, length: int) -> int:
    """CRC-32C of two parts one after the other, from the checksum of each and the length of the second, bytes."""
    return int(_shift_alone(engine(), np.uint32(first), length)) ^ second


@part
def _shift_alone(e, crc, count):
    return shift(e, crc, count)


def _call(result: Any, *parameters: Any) -> Any:
    """A function for compiled code that calls the C function at an address, which is its first parameter."""

    def generate(context, builder, signature, arguments):
        target, *values = arguments
        code = ir.FunctionType(context.get_value_type(result), [context.get_value_type(kind) for kind in parameters])
        return builder.call(builder.inttoptr(target, code.as_pointer()), values)

    return result(types.uintp, *parameters), generate


@intrinsic
def _extend_code(typing, function, crc, address, count):
    return _call(types.uint32, types.uint32, types.uintp, types.uintp)


@intrinsic
def _times_code(typing, function, a, b):
    return _call(types.uint32, types.uint32, types.uint32)


_extend_at: Any = _extend_code  # to a type checker an intrinsic has the parameters of its code, not of its calls
_times_at: Any = _times_code
