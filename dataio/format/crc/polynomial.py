"""CRC-32C as arithmetic: polynomials modulo Castagnoli's, and the checksum of a whole from the checksums of its parts.

A checksum is a polynomial over GF(2) of degree 31, its lowest power of x in the highest bit. Bytes that follow multiply it by
x^(8·count): CRC(AB) = CRC(A)·x^(8·|B|) + CRC(B), for the inversions before and after cancel out.
"""

from functools import lru_cache

import numpy as np
from numba import njit

_POLYNOMIAL = np.uint32(0x82F63B78)
_ONE = np.uint32(0x80000000)


@njit(nogil=True, cache=True)
def times(a, b):
    """The product of two polynomials."""
    product = np.uint32(0)
    for bit in range(32):
        product ^= b & np.uint32(-np.int64((a >> np.uint32(31 - bit)) & np.uint32(1)))
        b = (b >> np.uint32(1)) ^ (_POLYNOMIAL & np.uint32(-np.int64(b & np.uint32(1))))
    return product


@njit(nogil=True, cache=True)
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


@lru_cache(1)
def powers() -> np.ndarray:
    """What `shift` looks powers up in: (6, 256) uint32, enough for parts of 256 TiB."""
    return power_table(8, 6, 0)


@njit(nogil=True, cache=True)
def shift(crc, count, table, memo):
    """The checksum as it would be with `count` zero bytes after it, up to the part that the zeros' own checksum has.

    Args:
        table: of `powers`.
        memo: (2,) int64, the last count and its power, at first −1: blocks and pieces of one length follow each other.
    """
    if memo[0] != count:
        found, rest, j = _ONE, count, 0
        while rest:
            if rest & 255:
                entry = table[j, rest & 255]
                found = entry if found == _ONE else times(found, entry)
            rest >>= 8
            j += 1
        memo[0], memo[1] = count, found
    return times(np.uint32(memo[1]), crc)


def combine(first: int, second: int, length: int) -> int:
    """CRC-32C of two parts one after the other, from the checksum of each and the length of the second, bytes."""
    return int(shift(np.uint32(first), length, powers(), np.full(2, -1, np.int64))) ^ second
