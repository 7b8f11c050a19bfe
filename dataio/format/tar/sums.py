"""Checksums of a member, of its blocks and of the whole tar, from one reading of its bytes. Compiled."""

from typing import Any, NamedTuple

import numpy as np

from dataio.format import crc, headers, index
from dataio.format.compiled import inlined
from dataio.format.tar.columns import CRC, FACTS, FIRST_BLOCK
from dataio.format.tar.faults import FINE, READ
from dataio.format.tar.limits import DIRECT
from dataio.format.tar.tables import BLOCKS, WHOLE
from dataio.format.tar.window import need, there


class Sums(NamedTuple):
    """What summing up needs besides the bytes."""

    wanted: bool
    engine: crc.Engine


def sums(*, wanted: bool) -> Sums:
    return Sums(wanted, crc.engine())


@inlined
def add_plain(s, state, w, i, count):
    """Sum up bytes of the window, of no member, from its place i on."""
    if s.wanted:
        state[WHOLE] = crc.extend(s.engine, np.uint32(state[WHOLE]), w.address + i, count)


@inlined
def add(s, t, state, w, member, offset, length, padded):
    """Sum up the data of a member, or of what is none (−1), and the padding; a fault, or FINE."""
    if not s.wanted:
        return FINE
    pcm = member >= 0 and t.rows[member, FACTS + headers.DATA] > 0
    if pcm:
        t.rows[member, FIRST_BLOCK] = state[BLOCKS]
    whole = np.uint32(state[WHOLE])
    of_member = of_block = np.uint32(0)
    begun: Any = np.int64(0)  # bytes of the block under way
    left, here = length, offset
    while left:
        i = need(w, here, 1)
        if i < 0:
            return READ
        count = min(left, there(w, here))
        if pcm:
            count = min(count, index.BLOCK - begun)
        before = of_block if pcm else of_member
        after = crc.extend(s.engine, before, w.address + i, count)
        if count < DIRECT:
            whole = crc.extend(s.engine, whole, w.address + i, count)
        else:
            whole = crc.shift(s.engine, whole ^ before, count) ^ after
        left -= count
        here += count
        if not pcm:
            of_member = after
            continue
        of_block = after
        begun += count
        if begun == index.BLOCK or left == 0:
            t.blocks[state[BLOCKS]] = of_block
            state[BLOCKS] += 1
            of_member = crc.shift(s.engine, of_member, begun) ^ of_block
            of_block, begun = np.uint32(0), np.int64(0)
    if member >= 0:
        t.rows[member, CRC] = of_member
    if padded > length:
        i = need(w, offset + length, padded - length)
        if i < 0:
            return READ
        whole = crc.extend(s.engine, whole, w.address + i, padded - length)
    state[WHOLE] = whole
    return FINE
