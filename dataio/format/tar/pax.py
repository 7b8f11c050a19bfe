"""The records of a PAX header (POSIX.1-2001): `length key=value\\n`, the length counting all of the record. Compiled."""

import numpy as np

from dataio.format.compiled import part
from dataio.format.tar.faults import FINE, PAX, SIZE, SPARSE
from dataio.format.tar.spans import says

PATH, PATH_LENGTH, BYTES, COLUMNS = range(4)


@part
def read(data, at, end, found):
    """Look at the records in data[at : end]; a fault, or FINE.

    found: (3,) int64, filled with the path's place and length and the size; −1 for what is not said. An empty value takes back
    what a record before said.
    """
    found[:] = -1
    while at < end:
        length = np.int64(0)
        digits = at
        while digits < end and 0x30 <= data[digits] <= 0x39 and length < 2**40:
            length = 10 * length + np.int64(data[digits] - 0x30)
            digits += 1
        if digits == at or digits >= end or data[digits] != 0x20 or at + length > end or at + length <= digits + 1:
            return PAX
        if data[at + length - 1] != 0x0A:
            return PAX
        key = digits + 1
        value = key
        while value < at + length and data[value] != 0x3D:
            value += 1
        if value >= at + length or value == key:
            return PAX
        name = value - key
        value += 1
        count = at + length - 1 - value
        if name == 4 and says(data, key, b"path"):
            found[PATH], found[PATH_LENGTH] = (value, count) if count else (-1, -1)
        elif name == 4 and says(data, key, b"size"):
            if not _decimal(data, value, count, found):
                return SIZE
        elif name > 11 and says(data, key, b"GNU.sparse."):
            return SPARSE
        at += length
    return FINE


@part
def _decimal(data, at, count, found):
    number = np.int64(0)
    for i in range(count):
        digit = np.int64(data[at + i]) - 0x30
        if digit < 0 or digit > 9 or number >> 55:
            return False
        number = 10 * number + digit
    found[BYTES] = number if count else -1
    return True
