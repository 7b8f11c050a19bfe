"""The compiled loop over a tar: it costs a fraction of a microsecond a member and no Python object, and holds a window of the file.

It understands USTAR (POSIX.1-1988), PAX (POSIX.1-2001) and GNU tar's long names and sizes.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from dataio.format import compiled, crc, headers, index
from dataio.format.compiled import inlined
from dataio.format.tar import announced, block, pax
from dataio.format.tar.columns import CRC, FIRST_BLOCK, HEADER, LENGTH, OFFSET
from dataio.format.tar.faults import CHECKSUM, CUT, FINE, FULL, GARBAGE, LONG_HEADER, READ, SIZE, SPARSE
from dataio.format.tar.limits import BLOCK, HEADER_LIMIT
from dataio.format.tar.looks import look
from dataio.format.tar.samples import dot_of, enter, settle
from dataio.format.tar.spans import first_set
from dataio.format.tar.sums import Sums, add, add_plain
from dataio.format.tar.tables import AT, FIRST, MEMBERS, NAMED, OTHERS, SAID_NAME, SAID_SIZE, SKIPPED, Tables, is_full
from dataio.format.tar.window import Window, need, there

SOURCES = (str(Path(__file__).with_name("__init__.py")), compiled.__file__, crc.__file__, headers.__file__, index.__file__)
"""All that the loop is made of."""

_OLD_FILE, _FILE, _CONTIGUOUS, _SPARSE_FILE = 0x00, 0x30, 0x37, 0x53
_LINK, _FIFO = 0x31, 0x36  # links, devices, folders and what lies between: whatever their size says, no data follows
_SLASH = 0x2F


@inlined
def _walk(w, s, t, state, said, facts):
    while True:
        if is_full(t, state):
            return FULL
        at = state[AT]
        if at + BLOCK > w.size:
            return CUT
        i = need(w, at, BLOCK)
        if i < 0:
            return READ
        if w.data[i] == 0 and first_set(w.data, i, i + BLOCK) == i + BLOCK:
            return _end(w, s, state)
        if not block.is_sound(w.data, i):
            return CHECKSUM
        add_plain(s, state, w, i, BLOCK)
        kind, length = block.kind(w.data, i), block.size(w.data, i)
        if length < 0:
            return SIZE
        if state[FIRST] < 0:
            state[FIRST] = at
        if announced.is_one(kind):
            fault = _announced(w, s, t, state, kind, length, said)
        else:
            fault = _member(w, s, t, state, kind, length, i, facts)
        if fault != FINE:
            return fault


@inlined
def _announced(w, s, t, state, kind, length, said):
    """A header of the member to come."""
    offset = state[AT] + BLOCK
    padded = _padded(length)
    if length > HEADER_LIMIT:
        return LONG_HEADER
    if offset + padded > w.size:
        return CUT
    i = need(w, offset, padded)
    if i < 0:
        return READ
    add_plain(s, state, w, i, padded)
    fault = announced.take(kind, w.data, i, length, state, t.names, said)
    if fault == FINE:
        state[AT] = offset + padded
    return fault


@inlined
def _member(w, s, t, state, kind, length, i, facts):
    """A file, or what else there is in tars, whose header block stands at w.data[i]."""
    if kind == _SPARSE_FILE:
        return SPARSE
    if state[SAID_SIZE] >= 0:
        length = state[SAID_SIZE]
    if _LINK <= kind <= _FIFO:
        length = np.int64(0)
    offset = state[AT] + BLOCK
    padded = _padded(length)
    if offset + padded > w.size:
        return CUT
    begin = state[NAMED]
    if state[SAID_NAME] < 0:
        state[SAID_NAME] = block.write_name(w.data, i, t.names, begin)
    end = begin + state[SAID_NAME]
    is_file = kind in (_FILE, _CONTIGUOUS) or (kind == _OLD_FILE and (end == begin or t.names[end - 1] != _SLASH))
    dot = dot_of(t.names, begin, end)
    member = np.int64(-1)
    if not is_file:
        state[OTHERS] += 1
    elif dot < begin:
        state[SKIPPED] += 1
    else:
        member, rows = state[MEMBERS], t.rows
        rows[member, HEADER], rows[member, OFFSET], rows[member, LENGTH] = state[FIRST], offset, length
        rows[member, CRC], rows[member, FIRST_BLOCK] = 0, -1
        fault = enter(t, state, dot, end)
        if fault == FINE:
            fault = look(t, state, w, member, facts)
        if fault != FINE:
            return fault
    fault = add(s, t, state, w, member, offset, length, padded)
    if fault == FINE:
        fault = settle(t, state)
    if fault == FINE:
        state[AT] = offset + padded
        state[FIRST] = state[SAID_NAME] = state[SAID_SIZE] = -1
    return fault


@inlined
def _end(w, s, state):
    """The end of the archive: nothing but zeros to the last byte."""
    if state[SAID_NAME] >= 0 or state[SAID_SIZE] >= 0:  # the member that was announced is missing
        return CUT
    while state[AT] < w.size:
        i = need(w, state[AT], 1)
        if i < 0:
            return READ
        count = there(w, state[AT])
        other = first_set(w.data, i, i + count) - i
        if other < count:
            state[AT] += other
            return GARBAGE
        add_plain(s, state, w, i, count)
        state[AT] += count
    return FINE


@inlined
def _padded(length):
    return (length + BLOCK - 1) // BLOCK * BLOCK


def _cached(digest: str) -> Any:
    @njit(nogil=True, cache=True)
    def run(window, wanted, engine, tables, state):
        _ = digest  # a part of the key under which numba keeps this on disk; see `compiled.sources`
        said, facts = np.empty(pax.COLUMNS, np.int64), np.empty(headers.COLUMNS, np.int64)
        return _walk(Window(*window), Sums(wanted, crc.Engine(*engine)), Tables(*tables), state, said, facts)

    return run


_run = _cached(compiled.sources(SOURCES))


def fill(w: Window, s: Sums, t: Tables, state: np.ndarray) -> int:
    """Go on from where `state` stands, to the end, to a fault, or until a table is full; returns which."""
    return _run(tuple(w), s.wanted, tuple(s.engine), tuple(t), state)  # a cache with our types in it fails once they have moved
