"""Runs of bytes in arrays of uint8: looking at them and copying them, for compiled loops."""

import numpy as np

from dataio.format.compiled import part


@part
def copy(target, to, source, begin, count):
    """Plainer than assigning slices, which take numba seconds to compile."""
    here, there = np.uint64(begin), np.uint64(to)  # an unsigned place cannot count from the end, which saves a test a byte
    for i in range(np.uint64(count)):
        target[there + i] = source[here + i]


@part
def first_set(data, begin, end):
    """Where the first byte that is not zero lies; `end` if there is none."""
    for i in range(np.uint64(begin), np.uint64(end)):
        if data[i] != 0:
            return np.int64(i)
    return np.int64(end)


@part
def text_length(data, at, count):
    """Length of a text field: up to a NUL, or all of it."""
    for i in range(count):
        if data[at + i] == 0:
            return i
    return count


@part
def says(data, at, text):
    """Whether the bytes of `text`, a bytes constant, stand here."""
    same = True
    for i in range(len(text)):
        same &= data[at + i] == text[i]
    return same
