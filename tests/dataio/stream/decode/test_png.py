"""Maps as PNGs: what Pillow and OpenCV write is read as it was; everything else is refused, before it can hurt."""

import io
import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.png import decode


def _pillow(pixels: np.ndarray, **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **how)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(height: int, width: int, raw: bytes, *, kind: bytes = b"\x08\0\0\0\0", extra: bytes = b"", parts: int = 1) -> bytes:
    """A file of these rows, each with its filter, in several chunks of pixels."""
    packed = zlib.compress(raw)
    step = -(-len(packed) // parts)
    body = b"".join(_chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step))
    head = _chunk(b"IHDR", struct.pack(">II", width, height) + kind)
    return b"\x89PNG\r\n\x1a\n" + head + extra + body + _chunk(b"IEND", b"")


def _map(height: int = 64, width: int = 128) -> np.ndarray:
    """Rectangles of classes."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((height, width), np.uint8)
    for _ in range(20):
        y, x = rng.integers(0, height), rng.integers(0, width)
        pixels[y : y + 20, x : x + 30] = rng.integers(1, 256)
    return pixels


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 999),
    height=st.integers(1, 20),
    width=st.integers(1, 40),
    filters=st.lists(st.integers(0, 4), min_size=20, max_size=20),
    parts=st.integers(1, 5),
)
def test_every_filter_in_every_row_is_undone_as_pillow_does(
    seed: int, height: int, width: int, filters: list[int], parts: int
) -> None:
    rows = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    raw = b"".join(bytes([kind]) + row.tobytes() for kind, row in zip(filters, rows, strict=False))
    data = _png(height, width, raw, parts=parts)
    assert np.array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("size", [(1, 1), (64, 128), (33, 47), (256, 512)])
def test_what_libraries_write_is_read_as_it_was(size: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    ramp = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    for pixels in (_map(*size), ramp, noise, np.zeros(size, np.uint8), np.full(size, 255, np.uint8)):
        for data in (_pillow(pixels), _pillow(pixels, optimize=True, compress_level=9), cv2.imencode(".png", pixels)[1].tobytes()):
            got = decode(np.frombuffer(data, np.uint8))
            assert got.dtype == np.uint8
            assert np.array_equal(got, pixels)


def test_remarks_are_passed_over() -> None:
    raw = b"\0abc"
    assert decode(_png(1, 3, raw, extra=_chunk(b"tEXt", b"a\0b") + _chunk(b"pHYs", bytes(9)))).tobytes() == b"abc"


def test_several_threads_see_the_same() -> None:
    pixels = [_map(64, 100 + i) for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(a, b) for a, b in zip(pool.map(decode, map(_pillow, pixels)), pixels, strict=True))


WHOLE = _pillow(_map())
RGB = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "^no PNG$"),
        (b"\xff\xd8\xff" + bytes(100), "^no PNG$"),
        (WHOLE[:30], "^no PNG$"),
        (WHOLE[:60], "^the PNG is cut off after 60 bytes$"),
        (WHOLE[:-1], "^the PNG is cut off after"),
        (WHOLE[:-12], "^the PNG is cut off after"),
        (_pillow(RGB), "^the PNG has 8 bits, colour type 2 and interlacing 0; read is 8-bit grey without interlacing$"),
        (_pillow(RGB[..., 0].astype(np.uint16)), "^the PNG has 16 bits, colour type 0"),
        (_pillow(RGB[..., 0] > 0), "^the PNG has 1 bits, colour type 0"),
        (_png(1, 3, b"\0abc", kind=b"\x08\0\0\0\1"), "interlacing 1"),
        (_png(1, 3, b"\0abc", extra=_chunk(b"PLTE", bytes(3))), "^the PNG has a chunk b'PLTE'"),
        (_png(0, 3, b""), "^the PNG says that it has 0x3 pixels, outside"),
        (_png(1, 2**31, b"\0abc"), "^the PNG says that it has 1x2147483648 pixels, outside"),
        (_png(16_384, 16_384, bytes(99)), "^the PNG says that it has 16384x16384 pixels, more than its .* bytes can hold$"),
        (_png(1, 3, b"\0ab"), "^the PNG says that it has 1x3 pixels and holds fewer$"),
        (_png(1, 3, b"\0abcd"), "^the PNG says that it has 1x3 pixels and holds more$"),
        (_png(1, 3, b"\5abc"), "^a row of the PNG has a filter that does not exist$"),
    ],
)
def test_everything_else_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message) as caught:
        decode(data)
    assert caught.value.reason == str(caught.value)


def test_pixels_that_are_missing_or_changed_are_refused_though_every_chunk_is_right() -> None:
    """As OpenCV does not."""
    raw = b"".join(b"\0" + bytes(row) for row in _map())
    packed = zlib.compress(raw)
    frame = lambda part: b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">II5B", 128, 64, 8, 0, 0, 0, 0)) + part  # noqa: E731
    end = _chunk(b"IEND", b"")
    assert np.array_equal(decode(frame(_chunk(b"IDAT", packed) + end)), _map())
    for cut in (0, 1, 10, len(packed) // 2, len(packed) - 4, len(packed) - 1):
        with pytest.raises(DecodeError):
            decode(frame(_chunk(b"IDAT", packed[:cut]) + end))
    for at in range(0, len(packed), 7):
        spoiled = bytearray(packed)
        spoiled[at] ^= 4
        with pytest.raises(DecodeError):
            decode(frame(_chunk(b"IDAT", bytes(spoiled)) + end))


def test_every_flipped_bit_is_seen() -> None:
    chance = np.random.default_rng(3)
    for _ in range(500):
        spoiled = bytearray(WHOLE)
        spoiled[int(chance.integers(len(spoiled)))] ^= 1 << int(chance.integers(8))
        with pytest.raises(DecodeError):
            decode(bytes(spoiled))


def test_a_bomb_takes_no_memory() -> None:
    """64 KiB that become 64 MiB, in a picture that says it is small."""
    data = _png(8, 8, bytes(2**26))
    decode(WHOLE)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="holds more"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()
