"""Whether a JPEG is well formed, from its first marker to the scan, and at its end: ITU-T T.81, annex B.

That costs a microsecond for a head seen before, as the pictures of one encoder have the same, and some ten for a new one. What is
wrong inside a scan raises nothing in DALI: it shows in the picture.
"""

from functools import lru_cache

import numpy as np

_FRAMES, _HUFFMAN, _QUANTISATION, _SCAN = (0xC0, 0xC1, 0xC2), 0xC4, 0xDB, 0xDA
_RESTART, _COMMENT = 0xDD, 0xFE
_LONGEST = 64 * 1024  # bytes of a head that is looked into; longer ones, with thumbnails and profiles, count as suspicious


def suspicious_jpeg(data: np.ndarray) -> bool:
    """Whether a picture should be tried alone before it may join a batch."""
    if len(data) < 4 or data[0] != 0xFF or data[1] != 0xD8 or data[-2] != 0xFF or data[-1] != 0xD9:
        return True
    head = _head(data)
    return head is None or not _well_formed(head)


def _head(data: np.ndarray) -> bytes | None:
    """From the first marker to the header of the first scan, without comments and what applications add, which differ from picture
    to picture and would fill the cache; None if the markers do not lead there.
    """
    at, limit, kept = 2, min(len(data), _LONGEST), [data[:2].tobytes()]
    while at + 4 <= limit and data[at] == 0xFF:
        kind, length = int(data[at + 1]), int(data[at + 2]) << 8 | int(data[at + 3])
        if length < 2 or at + 2 + length > limit:
            return None
        if not (0xE0 <= kind <= 0xEF or kind == _COMMENT):
            kept.append(data[at : at + 2 + length].tobytes())
        at += 2 + length
        if kind == _SCAN:
            return b"".join(kept)
    return None


@lru_cache(4096)
def _well_formed(head: bytes) -> bool:
    """Whether a head, markers and all up to the scan, defines each table that it uses, and one frame as it may be."""
    quantisation: set[int] = set()
    huffman: set[int] = set()
    components: dict[int, int] = {}  # → its quantisation table
    progressive, at = False, 2
    while at < len(head):
        kind, length = head[at + 1], head[at + 2] << 8 | head[at + 3]
        part = head[at + 4 : at + 2 + length]
        at += 2 + length
        if kind == _QUANTISATION:
            found = _quantisation_tables(part)
        elif kind == _HUFFMAN:
            found = _huffman_tables(part)
        elif kind in _FRAMES and not components:
            components, progressive = _frame(part), kind == 0xC2
            found = set(components)
        elif kind == _SCAN:
            return set(components.values()) <= quantisation and _scan(part, components, huffman, progressive)
        elif 0xE0 <= kind <= 0xEF or kind in (_COMMENT, _RESTART):
            continue
        else:  # a second frame, one that is lossless, hierarchical or coded arithmetically, or no marker at all
            return False
        if not found:
            return False
        quantisation |= found if kind == _QUANTISATION else set()
        huffman |= found if kind == _HUFFMAN else set()
    return False


def _quantisation_tables(part: bytes) -> set[int]:
    """Numbers of the tables of a segment; none if it is not whole, or holds a zero, by which nothing is quantised."""
    found, at = set(), 0
    while at < len(part):
        wide, number = part[at] >> 4, part[at] & 15
        size = 64 * (1 + wide)
        values = part[at + 1 : at + 1 + size]
        if wide > 1 or number > 3 or len(values) < size or (not wide and 0 in values):
            return set()
        found.add(number)
        at += 1 + size
    return found


def _huffman_tables(part: bytes) -> set[int]:
    """Class and number of the tables of a segment; none if it is not whole, promises more codes of a length than there are, or
    gives a DC difference more bits than it can have.
    """
    found, at = set(), 0
    while at + 17 <= len(part):
        counts = part[at + 1 : at + 17]
        symbols = part[at + 17 : at + 17 + sum(counts)]
        free = 1
        for count in counts:
            free = 2 * free - count
            if free < 0:
                return set()
        direct = part[at] < 16
        if part[at] & 0xEC or len(symbols) < sum(counts) or not symbols or (direct and max(symbols) > 11):
            return set()
        found.add(part[at])
        at += 17 + sum(counts)
    return found if at == len(part) else set()


def _frame(part: bytes) -> dict[int, int]:
    """Component → quantisation table; none unless it is 8-bit grey or colour in a common sampling."""
    if len(part) < 6 or part[0] != 8 or len(part) != 6 + 3 * part[5] or part[5] not in (1, 3):
        return {}
    height, width = part[1] << 8 | part[2], part[3] << 8 | part[4]
    rows = [part[6 + 3 * i : 9 + 3 * i] for i in range(part[5])]
    samplings = [(row[1] >> 4, row[1] & 15) for row in rows]
    usual = all(h in (1, 2, 4) and v in (1, 2) for h, v in samplings[:1]) and all(s == (1, 1) for s in samplings[1:])
    if not height or not width or not usual or any(row[2] > 3 for row in rows):
        return {}
    return {row[0]: row[2] for row in rows}


def _scan(part: bytes, components: dict[int, int], huffman: set[int], progressive: bool) -> bool:
    """Whether the first scan is of components that there are, by tables that there are."""
    count = part[0] if part else 0
    if not 1 <= count <= 4 or len(part) != 4 + 2 * count:
        return False
    chosen = [part[1 + 2 * i] for i in range(count)]
    tables = [part[2 + 2 * i] for i in range(count)]
    if not set(chosen) <= set(components) or len(set(chosen)) < count or any(table >> 4 not in huffman for table in tables):
        return False
    ends = tuple(part[1 + 2 * count :])
    if progressive:  # it begins with the DC coefficients, maybe without their lowest bits
        return ends[:2] == (0, 0) and ends[2] < 14
    return len(chosen) == len(components) and ends == (0, 63, 0) and all(16 | (table & 15) in huffman for table in tables)
