"""One header block of a tar: USTAR (POSIX.1-1988), with GNU tar's numbers. Compiled, on bytes in place."""

import numpy as np

from dataio.format.compiled import part
from dataio.format.tar.limits import BLOCK
from dataio.format.tar.spans import copy, says, text_length

# where the fields lie in the block, and how long they are; sources: POSIX.1-1988 (ustar), the manual of GNU tar, "Basic Tar Format"
_NAME, _NAME_LENGTH = 0, 100
_SIZE, _SIZE_LENGTH = 124, 12
_SUM, _SUM_LENGTH = 148, 8
_KIND = 156
_MAGIC = 257
_PREFIX, _PREFIX_LENGTH = 345, 155


@part
def kind(data, at):
    return data[at + _KIND]


@part
def size(data, at):
    """Bytes of data that the block says follow it; −1 if that is no number."""
    return _number(data, at + _SIZE, _SIZE_LENGTH)


@part
def is_sound(data, at):
    """Whether the sum of all bytes, the checksum's own taken as blanks, is right; some old tars sum them as signed."""
    total = np.uint32(0)
    for i in range(np.uint64(at), np.uint64(at + BLOCK)):  # an unsigned place cannot count from the end: ten times as fast
        total += np.uint32(data[i])
    for i in range(at + _SUM, at + _SUM + _SUM_LENGTH):
        total += np.uint32(0x20) - np.uint32(data[i])
    said = _number(data, at + _SUM, _SUM_LENGTH)
    if said == total:
        return True
    high = np.int64(0)
    for i in range(at, at + BLOCK):
        high += (data[i] >> 7) * (i < at + _SUM or i >= at + _SUM + _SUM_LENGTH)
    return said == np.int64(total) - 256 * high


@part
def write_name(data, at, target, to):
    """Copy the member's name to target[to:]; its length. GNU tar keeps times of access where POSIX keeps the prefix of a name."""
    length = np.int64(0)
    prefix = text_length(data, at + _PREFIX, _PREFIX_LENGTH) if says(data, at + _MAGIC, b"ustar\0") else 0
    if prefix:
        copy(target, to, data, at + _PREFIX, prefix)
        target[to + prefix] = 0x2F
        length += prefix + 1
    count = text_length(data, at + _NAME, _NAME_LENGTH)
    copy(target, to + length, data, at + _NAME, count)
    return length + count


@part
def _number(data, at, count):
    """A number field: octal digits between blanks, or base 256 when the top bit is set (GNU); −1 for neither."""
    if data[at] == 0x80:
        value = np.int64(0)
        for i in range(1, count):
            if value >> 50:
                return np.int64(-1)
            value = value << 8 | np.int64(data[at + i])
        return value
    first, last = at, at + count
    while first < last and data[first] == 0x20:
        first += 1
    value = np.int64(0)
    while first < last and 0x30 <= data[first] <= 0x37:
        value = value << 3 | np.int64(data[first] - 0x30)
        first += 1
    while first < last:
        if data[first] != 0x20 and data[first] != 0:
            return np.int64(-1)
        first += 1
    return value
