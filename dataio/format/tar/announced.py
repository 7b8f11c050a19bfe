"""Headers that tell of the member to come: PAX (`x`, of all members `g`), GNU tar's long names (`L`, `K` of links). Compiled."""

import numpy as np

from dataio.format.compiled import part
from dataio.format.tar import pax
from dataio.format.tar.faults import FINE, GLOBAL, LONG_NAME
from dataio.format.tar.limits import NAME_LIMIT
from dataio.format.tar.spans import copy, text_length
from dataio.format.tar.tables import NAMED, SAID_NAME, SAID_SIZE

_PAX, _PAX_OF_SUN, _GLOBAL, _LONG_NAME, _LONG_LINK = 0x78, 0x58, 0x67, 0x4C, 0x4B  # x X g L K


@part
def is_one(kind):
    return kind in (_PAX, _PAX_OF_SUN, _GLOBAL, _LONG_NAME, _LONG_LINK)


@part
def take(kind, data, begin, length, state, names, found):
    """Keep what the content of such a header says in data[begin : begin + length]; a fault, or FINE.

    Of two that say the same thing of one member, the first holds, as in Python's tarfile. found: scratch, see `pax.read`.
    """
    place, count = np.int64(-1), np.int64(0)
    if kind == _LONG_NAME:
        place, count = np.int64(begin), np.int64(text_length(data, begin, length))
    elif kind != _LONG_LINK:
        fault = pax.read(data, begin, begin + length, found)
        if fault != FINE:
            return fault
        if kind == _GLOBAL:
            return GLOBAL if found[pax.PATH] >= 0 or found[pax.BYTES] >= 0 else FINE
        place, count = found[pax.PATH], found[pax.PATH_LENGTH]
        if state[SAID_SIZE] < 0:
            state[SAID_SIZE] = found[pax.BYTES]
    if place >= 0 and state[SAID_NAME] < 0:
        if count > NAME_LIMIT or text_length(data, place, count) < count:
            return LONG_NAME
        copy(names, state[NAMED], data, place, count)
        state[SAID_NAME] = count
    return FINE
