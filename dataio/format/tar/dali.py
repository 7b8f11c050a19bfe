"""DALI's index of a walked tar, without a Python object a member. `index.dali_idx` says the same of clips, and why."""

import numpy as np

from dataio.format.compiled import cached_part, inlined
from dataio.format.tar.columns import CLIP, END, KEY, LENGTH, NAME, OFFSET

_BLANK, _LINE_END = 0x20, 0x0A


def lines(rows: np.ndarray, names: np.ndarray, clips: int) -> bytes:
    """The whole text. rows, names: see `Walk`."""
    text = np.empty(6 * len(names) + 48 * len(rows) + 32, np.uint8)  # a blank becomes three bytes; two numbers have 19 digits each
    head = f"v1.2 {clips}\n".encode()
    text[: len(head)] = np.frombuffer(head, np.uint8)
    return text[: _write(rows, names, text, len(head))].tobytes()


@cached_part
def _write(rows, names, text, end):
    """Write the lines to text[end:], which has room for them; where they end."""
    for member in range(len(rows)):
        begin, key, stop = rows[member, NAME], rows[member, KEY], rows[member, END]
        if member:
            text[end] = _BLANK if rows[member, CLIP] == rows[member - 1, CLIP] else _LINE_END
            end += 1
        end = _word(text, end, names, begin + key + 1, stop)
        for column in (OFFSET, LENGTH):
            text[end] = _BLANK
            end = _decimal(text, end + 1, rows[member, column])
        text[end] = _BLANK
        end = _word(text, end + 1, names, begin, stop)
    if len(rows):
        text[end] = _LINE_END
        end += 1
    return end


@inlined
def _word(text, end, names, begin, stop):
    """Copy a name, `%20` and the like in place of the bytes at which DALI splits."""
    for i in range(np.uint64(begin), np.uint64(stop)):
        letter = names[i]
        if letter == _BLANK or 0x09 <= letter <= 0x0D:
            low = letter & 15
            text[end], text[end + 1], text[end + 2] = 0x25, 0x30 + (letter >> 4), (0x30 if low < 10 else 0x37) + low
            end += 3
        else:
            text[end] = letter
            end += 1
    return end


@inlined
def _decimal(text, end, value):
    rest = np.uint64(value)  # dividing signed numbers costs twice as much
    ten = np.uint64(10)
    digits, limit = 1, ten
    while rest >= limit and digits < 19:
        digits += 1
        limit *= ten
    for i in range(digits):
        tenth = rest // ten
        text[end + digits - 1 - i] = np.uint8(0x30) + np.uint8(rest - tenth * ten)
        rest = tenth
    return end + digits
