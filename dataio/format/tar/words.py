"""Numbering words that lie somewhere in an array of bytes: a hash table with open addressing, compiled.

places: (words, ≥ 2) int64, a word's place and length first. slots: int32, a power of two of them, the number of a word or −1.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dataio.format.compiled import cached_part, part


@part
def hash_of(names, begin, length):
    hashed = np.uint64(0xCBF29CE484222325)  # FNV-1a
    for i in range(np.uint64(begin), np.uint64(begin + length)):
        hashed = (hashed ^ np.uint64(names[i])) * np.uint64(0x100000001B3)
    return np.int64((hashed ^ (hashed >> np.uint64(29))) >> np.uint64(1))


@part
def find(slots, names, places, begin, length, hashed):
    """Number of the word names[begin : begin + length], whose hash is known, among those at `places`; or −1 − the slot for it."""
    mask = len(slots) - 1
    slot = hashed & mask
    while slots[slot] >= 0:
        known = slots[slot]
        if places[known, 1] == length and same(names, places[known, 0], begin, length):
            return np.int64(known)
        slot = (slot + 1) & mask
    return -1 - slot


@part
def expect(slots, hashed):
    """Have memory begin to fetch what `find` will look at: in a large table that takes longer than all else does."""
    _prefetch(slots.ctypes.data + 4 * (hashed & (len(slots) - 1)))


@part
def same(data, first, second, count):
    """Whether the same bytes stand at both places."""
    equal = True
    for i in range(count):
        equal &= data[first + i] == data[second + i]
    return equal


@intrinsic
def _prefetch_code(typing, address):
    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
        for_writing, to_keep, data = word(1), word(3), word(1)
        code = builder.module.declare_intrinsic("llvm.prefetch", (pointer.type,), kind)
        builder.call(code, [pointer, for_writing, to_keep, data])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


_prefetch: Any = _prefetch_code


@cached_part
def enter_all(slots, names, places, count):
    """Fill empty `slots` with the first `count` words."""
    for word in range(count):
        at, length = places[word, 0], places[word, 1]
        slots[-1 - find(slots, names, places, at, length, hash_of(names, at, length))] = word
