"""Masks and class maps: PNGs of 8-bit grey (PNG Specification, third edition, W3C 2025), and nothing else.

Read here rather than with OpenCV, which forgives pixels that are missing and says so on standard error, and needs a package that
not every host has. This way what is damaged, and what claims to be larger than it is, is known before any memory is spent on it.
"""

import struct
import zlib

import numpy as np
from numba import njit

from dataio.stream.decode.errors import DecodeError

_LONGEST = 16_384  # pixels a side, as everywhere
_DENSEST = 1032  # bytes that deflate can make of one
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY8 = (8, 0, 0, 0, 0)  # bits, colour type, compression, filter method, no interlacing


def decode(data: bytes | np.ndarray) -> np.ndarray:
    """The pixels of a PNG: (h, w) uint8. Releases the GIL for most of the work.

    Args:
        data: the whole file, bytes or (n,) uint8.

    Raises:
        DecodeError: no PNG, of another kind than 8-bit grey, larger than 16384 pixels a side, damaged, or cut off.
    """
    view = memoryview(data)  # type: ignore[arg-type]  # an array is one too; stubs say so from Python 3.12 on
    height, width, packed = _chunks(view)
    size = height * (width + 1)  # a filter's number before every row
    if size > _DENSEST * sum(map(len, packed)):
        raise DecodeError(f"the PNG says that it has {height}x{width} pixels, more than its {len(view)} bytes can hold")
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(b"".join(packed), size + 1)
    except zlib.error as error:
        raise DecodeError(f"the pixels of the PNG are damaged: {error}") from error
    if len(raw) != size or not inflater.eof:
        raise DecodeError(f"the PNG says that it has {height}x{width} pixels and holds {'more' if len(raw) > size else 'fewer'}")
    out = np.empty((height, width), np.uint8)
    if not _unfilter(np.frombuffer(raw, np.uint8), out):
        raise DecodeError("a row of the PNG has a filter that does not exist")
    return out


def _chunks(data: memoryview) -> tuple[int, int, list[memoryview]]:
    """Height, width and the compressed pixels, after every chunk from head to end was found to be as its checksum says."""
    if data[:8] != _SIGNATURE or data[8:16] != b"\0\0\0\x0dIHDR" or len(data) < 33:
        raise DecodeError("no PNG")
    width, height, *kind = struct.unpack(">II5B", data[16:29])
    if tuple(kind) != _GREY8:
        asked = "8-bit grey without interlacing"
        raise DecodeError(f"the PNG has {kind[0]} bits, colour type {kind[1]} and interlacing {kind[4]}; read is {asked}")
    if not 1 <= min(width, height) <= max(width, height) <= _LONGEST:
        raise DecodeError(f"the PNG says that it has {height}x{width} pixels, outside 1 … {_LONGEST} a side")
    packed: list[memoryview] = []
    at = len(_SIGNATURE)
    while True:
        length, kind_of = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8])
        end = at + 12 + length
        if len(kind_of) < 4 or end > len(data):
            raise DecodeError(f"the PNG is cut off after {len(data)} bytes")
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise DecodeError(f"the PNG is damaged: the checksum of the chunk at byte {at} is wrong")
        if kind_of == b"IEND":
            return height, width, packed
        if kind_of == b"IDAT":
            packed.append(data[at + 8 : end - 4])
        elif not kind_of[0] & 0x20 and at > len(_SIGNATURE):  # a capital says that a picture is not understood without the chunk
            raise DecodeError(f"the PNG has a chunk {kind_of!r}, which 8-bit grey has not")
        at = end


@njit(nogil=True, cache=True)
def _unfilter(raw, out):
    """Undo the filters of section 9, in which a byte is stored less what its neighbours foretell; False for an unknown one."""
    height, width = out.shape
    above = np.zeros(width, np.uint8)
    for y in range(height):
        line, row = raw[y * (width + 1) :], out[y]
        kind, line = line[0], line[1:]
        if kind == 0:
            row[:] = line[:width]
        elif kind == 1:
            left = np.uint8(0)
            for x in range(width):
                left = np.uint8(left + line[x])
                row[x] = left
        elif kind == 2:
            for x in range(width):
                row[x] = line[x] + above[x]
        elif kind == 3:
            before = np.int64(0)
            for x in range(width):
                before = (line[x] + (before + above[x]) // 2) & 255
                row[x] = before
        elif kind == 4:
            before, corner = np.int64(0), np.int64(0)
            for x in range(width):
                up = np.int64(above[x])
                a, b, c = abs(up - corner), abs(before - corner), abs(before + up - 2 * corner)
                foretold = before if a <= b and a <= c else (up if b <= c else corner)
                before, corner = (line[x] + foretold) & 255, up
                row[x] = before
        else:
            return False
        above = row
    return True
