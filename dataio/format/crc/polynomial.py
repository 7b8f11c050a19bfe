"""CRC-32C as arithmetic: polynomials over GF(2) modulo Castagnoli's, in 32 bits, the lowest power of x in the highest bit."""

import numpy as np
from numba import njit

from dataio.format.compiled import cached_part

_POLYNOMIAL = np.uint32(0x82F63B78)
_ONE = np.uint32(0x80000000)


@cached_part
def times(a, b):
    """The product of two polynomials."""
    product = np.uint32(0)
    for bit in range(32):
        product ^= b & np.uint32(-np.int64((a >> np.uint32(31 - bit)) & np.uint32(1)))
        b = (b >> np.uint32(1)) ^ (_POLYNOMIAL & np.uint32(-np.int64(b & np.uint32(1))))
    return product


@cached_part
def power(n):
    """x to the power n, by squaring."""
    result, square = _ONE, np.uint32(0x40000000)
    while n:
        if n & 1:
            result = times(result, square)
        square = times(square, square)
        n >>= 1
    return result


@njit(nogil=True, cache=True)
def power_table(step, rows, origin):
    """(rows, 256) uint32: entry (j, b) is x to the power step·b·256^j + origin."""
    table = np.empty((rows, 256), np.uint32)
    for j in range(rows):
        factor = power(step)
        entry = power(origin)
        for b in range(256):
            table[j, b] = entry
            entry = times(entry, factor)
        step *= 256
    return table
