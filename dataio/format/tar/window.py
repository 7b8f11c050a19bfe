"""The part of a tar that is in memory: a window that a compiled loop moves over the file."""

from typing import Any, NamedTuple

import numpy as np
from numba import types

from dataio.format.compiled import part
from dataio.format.tar.limits import GLANCE, WINDOW
from dataio.format.tar.spans import copy

_PAGE = 4096  # bytes

_pread: Any = types.ExternalFunction("pread", types.intp(types.intc, types.uintp, types.uintp, types.int64))


class Window(NamedTuple):
    """An open file of so many bytes, and what of it is in memory."""

    fd: int
    size: int
    data: np.ndarray  # uint8
    address: int  # of data
    seen: np.ndarray  # (3,) int64: file offsets of the window's begin and end, and how many bytes to read next


def window(fd: int, size: int, *, whole: bool) -> Window:
    """A window with nothing in it yet. whole: all of the file will be needed."""
    memory = np.empty(WINDOW + _PAGE, np.uint8)
    data = memory[-memory.ctypes.data % _PAGE :][:WINDOW]  # page-aligned: the kernel copies faster
    return Window(fd, size, data, data.ctypes.data, np.array([0, 0, WINDOW if whole else GLANCE]))


@part
def need(w, at, count):
    """Have `count` bytes of the file from `at` on in the window; their place in it, or −1 if the file cannot be read.

    Little is read after a jump, and twice as much as before when reading goes on where it was. It is read, not mapped: a disk that
    fails then gives an error, not a signal that ends the process.
    """
    begin, end = w.seen[0], w.seen[1]
    if begin <= at and at + count <= end:
        return at - begin
    kept = 0
    if begin <= at <= end:
        kept = end - at
        copy(w.data, 0, w.data, at - begin, kept)
        w.seen[2] = min(2 * w.seen[2], len(w.data))
    else:
        w.seen[2] = min(GLANCE, len(w.data))
    goal = min(w.size - at, max(count, w.seen[2]))
    w.seen[0], w.seen[1] = at, at + kept
    while kept < goal:
        got = _pread(w.fd, w.address + kept, goal - kept, at + kept)
        if got <= 0:
            return -1
        kept += got
        w.seen[1] = at + kept
    return 0


@part
def there(w, at):
    """How many bytes from `at` on are in the window; none before a `need` of them."""
    return w.seen[1] - at
