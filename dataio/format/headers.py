"""What the first bytes of a member tell of it: the size of a picture; rate, channels and length of a sound; where its PCM begins.

Compiled, and working on bytes in place, because the index asks it of every member of every tar. Sources: JPEG, ITU-T T.81 annex B;
PNG, W3C recommendation section 11.2.1; WAVE, Microsoft's "Multiple Channel Audio Data and WAVE Files"; FLAC, RFC 9639 section 8.2;
MP4, ISO/IEC 14496-12; WebM, RFC 9559.
"""

import numpy as np

from dataio.format.compiled import cached_part
from dataio.format.index import Facts

HEIGHT, WIDTH, RATE, CHANNELS, SAMPLES, DATA, FRAMES, COLUMNS = range(8)
"""Columns of a row of facts, in the order of `index.Facts`."""

FIRST = 1024  # bytes that are enough for most members; for longer heads `read` is asked again, with more

SUFFIXES = ("jpg", "jpeg", "jpe", "jfif", "png", "wav", "wave", "flac", "mp4", "m4v", "mov", "webm", "mkv")
"""Last parts, in any case, of the extensions that are looked into."""

_SUFFIXES = tuple(int.from_bytes(suffix.encode(), "big") for suffix in SUFFIXES)
_LARGEST = 2**31 - 1  # what an index column holds
_PCM, _EXTENSIBLE = 1, 0xFFFE


def facts(data: bytes | np.ndarray) -> Facts:
    """Facts of a whole member; zeros where it is of no known kind, or damaged.

    The kind is that of the content: there are PNG files called `.JPEG`.
    """
    view = np.frombuffer(data, np.uint8)
    row = np.zeros(len(Facts.__dataclass_fields__), np.int64)
    read(view, 0, len(view), len(view), row)
    return Facts(*row.tolist())


@cached_part
def is_media(names, begin, length):
    """Whether the member whose extension is names[begin : begin + length], such as `f000.jpg`, is looked into."""
    suffix = np.int64(0)
    for i in range(length):
        letter = np.int64(names[begin + i])
        if letter == 0x2E:
            suffix = np.int64(0)
        else:
            if 0x41 <= letter <= 0x5A:
                letter |= 0x20
            suffix = (suffix & 0xFFFFFFFFFF) << 8 | letter
    found = False
    for known in _SUFFIXES:
        found |= suffix == known
    return found


@cached_part
def read(data, begin, end, length, row):
    """Fill `row`, (7,) int64, with the facts of the member that begins at data[begin].

    Args:
        data: uint8. end: up to where its bytes are there. length: of the whole member, bytes.

    Returns:
        False if the facts lie beyond `end`; the row is then zero, and the caller should try again with more bytes.
    """
    row[:] = 0
    if length < 12:
        return True
    if end - begin < 12:
        return False
    a, b, c, d = data[begin], data[begin + 1], data[begin + 2], data[begin + 3]
    if a == 0xFF and b == 0xD8:
        done = _jpeg(data, begin, end, length, row)
    elif a == 0x89 and b == 0x50 and c == 0x4E and d == 0x47:
        done = _png(data, begin, end, length, row)
    elif a == 0x52 and b == 0x49 and c == 0x46 and d == 0x46:  # RIFF
        done = _wave(data, begin, end, length, row)
    elif a == 0x66 and b == 0x4C and c == 0x61 and d == 0x43:  # fLaC
        done = _flac(data, begin, end, length, row)
    elif _big(data, begin + 4, 4) == 0x66747970:  # ftyp
        done = _mp4(data, begin, end, length, row)
    elif a == 0x1A and b == 0x45 and c == 0xDF and d == 0xA3:
        done = _webm(data, begin, end, length, row)
    else:
        done = True
    if not done or max(row[HEIGHT], row[WIDTH], row[RATE], row[DATA], row[FRAMES]) > _LARGEST:
        row[:] = 0  # no facts rather than wrong ones
    return done


@cached_part
def _jpeg(data, begin, end, length, row):
    """Walks the marker segments to the first frame header: whole segments are skipped, so that no thumbnail inside one is met."""
    at = 2
    while True:
        if at + 9 > length:
            return True
        if begin + at + 9 > end:
            return False
        if data[begin + at] != 0xFF:
            return True
        marker = data[begin + at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            at += 2
        elif marker == 0xD9 or marker == 0xDA:  # the end, or entropy-coded data: no frame header came
            return True
        elif 0xC0 <= marker <= 0xCF and marker != 0xC4 and marker != 0xC8 and marker != 0xCC:
            row[HEIGHT], row[WIDTH] = _big(data, begin + at + 5, 2), _big(data, begin + at + 7, 2)
            return True
        else:
            step = _big(data, begin + at + 2, 2)
            if step < 2:
                return True
            at += 2 + step


@cached_part
def _png(data, begin, end, length, row):
    if length < 24:
        return True
    if begin + 24 > end:
        return False
    if _big(data, begin + 12, 4) == 0x49484452:  # IHDR
        row[WIDTH], row[HEIGHT] = _big(data, begin + 16, 4), _big(data, begin + 20, 4)
    return True


@cached_part
def _wave(data, begin, end, length, row):
    """`fmt ` and `data` in either order, with any chunks between. A length that says more than there is (a stream) is cut."""
    if _big(data, begin + 8, 4) != 0x57415645:  # WAVE
        return True
    at = 12
    form = channels = rate = align = bits = np.int64(0)
    start = size = -1
    while form == 0 or start < 0:
        if at + 8 > length:
            return True
        if begin + at + 8 > end:
            return False
        name, chunk = _big(data, begin + at, 4), _little(data, begin + at + 4, 4)
        if name == 0x666D7420:  # fmt
            if chunk < 16 or at + 8 + chunk > length:
                return True
            if begin + at + 8 + chunk > end:
                return False
            head = begin + at + 8
            form, channels, rate = _little(data, head, 2), _little(data, head + 2, 2), _little(data, head + 4, 4)
            align, bits = _little(data, head + 12, 2), _little(data, head + 14, 2)
            if form == _EXTENSIBLE and chunk >= 40:
                form = _little(data, head + 24, 2)
            if form == 0 or align == 0:
                return True
        elif name == 0x64617461:  # data
            start, size = at + 8, min(chunk, length - at - 8)
        at += 8 + chunk + (chunk & 1)
    row[RATE], row[CHANNELS], row[SAMPLES] = rate, channels, size // align
    if form == _PCM and bits == 16 and align == 2 * channels:
        row[DATA] = start
    return True


@cached_part
def _flac(data, begin, end, length, row):
    """STREAMINFO is the first block, always."""
    if length < 42:
        return True
    if begin + 42 > end:
        return False
    if data[begin + 4] & 0x7F == 0 and _big(data, begin + 5, 3) == 34:
        packed = _big(data, begin + 18, 8)  # 20 bits rate, 3 channels − 1, 5 bits a sample − 1, 36 samples; int64 wraps at the top
        row[RATE] = (packed >> 44) & 0xFFFFF
        row[CHANNELS] = ((packed >> 41) & 7) + 1
        row[SAMPLES] = packed & 0xFFFFFFFFF
    return True


@cached_part
def _mp4(data, begin, end, length, row):
    """Descends to the sample table of the first track of pictures: its sample entry holds the size, `stsz` counts the frames."""
    at = np.int64(0)
    height = width = np.int64(0)
    pictures = False
    while at + 8 <= length:
        if begin + at + 8 > end:
            return False
        size, kind = _big(data, begin + at, 4), _big(data, begin + at + 4, 4)
        head = 8
        if size == 1:
            if at + 16 > length:
                return True
            if begin + at + 16 > end:
                return False
            size, head = _big(data, begin + at + 8, 8), 16
        elif size == 0:
            size = length - at
        if size < head or size > length - at:
            return True
        if kind == 0x6D6F6F76 or kind == 0x7472616B or kind == 0x6D646961 or kind == 0x6D696E66 or kind == 0x7374626C:
            at += head  # moov trak mdia minf stbl: what they hold comes next
            continue
        inside = begin + at + head
        least = 12 if kind == 0x68646C72 else 44 if kind == 0x73747364 else 12 if kind == 0x7374737A else 0  # hdlr stsd stsz
        if least:
            if size < head + least:
                return True
            if inside + least > end:
                return False
            if kind == 0x68646C72:
                pictures = _big(data, inside + 8, 4) == 0x76696465  # vide
            elif pictures and kind == 0x73747364:
                width, height = _big(data, inside + 40, 2), _big(data, inside + 42, 2)
            elif pictures:
                row[HEIGHT], row[WIDTH], row[FRAMES] = height, width, _big(data, inside + 8, 4)
                return True
        at += size
    return True


@cached_part
def _octets(first):
    """Bytes of an EBML number, by its first; 9 for none."""
    count = 1
    while count < 9 and not np.int64(first) & (0x100 >> count):
        count += 1
    return count


@cached_part
def _webm(data, begin, end, length, row):
    """Walks all elements: the first track of pictures has the size, and the blocks of that track are counted."""
    at = np.int64(0)
    track = number = kind = height = width = frames = np.int64(0)
    while at + 2 <= length:
        if begin + at + 1 > end:
            return False
        first = _octets(data[begin + at])
        if first > 4 or at + first + 1 > length:
            break
        if begin + at + first + 1 > end:
            return False
        second = _octets(data[begin + at + first])
        head = first + second
        if second > 8 or at + head > length:
            break
        if begin + at + head > end:
            return False
        name = _big(data, begin + at, first)
        size = _big(data, begin + at + first, second) & ((np.int64(1) << (7 * second)) - 1)
        inside = begin + at + head
        master = name == 0x18538067 or name == 0x1F43B675 or name == 0x1654AE6B  # Segment Cluster Tracks
        master |= name == 0xAE or name == 0xE0 or name == 0xA0  # TrackEntry Video BlockGroup
        if name == 0xAE:
            number = kind = np.int64(0)
        if master:
            at += head
            continue
        if size > length - at - head:
            break
        if 0 < size <= 8:
            if inside + size > end:
                return False
            if name == 0xD7 or name == 0x83 or name == 0xB0 or name == 0xBA:  # TrackNumber TrackType PixelWidth PixelHeight
                value = _big(data, inside, size)
                if name == 0xD7:
                    number = value
                elif name == 0x83:
                    kind = value
                elif kind == 1 and (track == 0 or track == number):
                    track = number
                    if name == 0xB0:
                        width = value
                    else:
                        height = value
        if (name == 0xA3 or name == 0xA1) and size > 4:  # SimpleBlock Block
            if inside + 1 > end:
                return False
            frames += track > 0 and np.int64(data[inside] & 0x7F) == track
        at += head + size
    row[HEIGHT], row[WIDTH], row[FRAMES] = height, width, frames
    return True


@cached_part
def _big(data, at, count):
    value = np.int64(0)
    for i in range(count):
        value = (value << 8) | np.int64(data[at + i])
    return value


@cached_part
def _little(data, at, count):
    value = np.int64(0)
    for i in range(count):
        value |= np.int64(data[at + i]) << (8 * i)
    return value
