"""Flow comes back within half a step, in KITTI's layout as a reader that shares no code sees it; damage is never taken for flow."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dataio.format.flow import decode_flow, encode_flow
from dataio.format.table import FormatError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
STEP = 1 / 64
HALF = STEP / 2

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
INSIDE = st.floats(-512, 511.984375, width=32)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """(type, content) of each chunk of a PNG, whose checksums must be right."""
    assert data.startswith(SIGNATURE)
    found, at = [], len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + content) == struct.unpack_from(">I", data, at + 8 + length)[0]
        found.append((kind, content))
        at += 12 + length
    return found


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)) for kind, content in chunks
    )


def _write(picture: np.ndarray) -> bytes:
    """A PNG of (H, W, 3) uint16 in the order red, green, blue, by the specification alone: no filter, one chunk."""
    height, width = picture.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in picture)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return _png([(b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")])


def _read(data: bytes) -> np.ndarray:
    """(H, W, 3) uint16 in the order red, green, blue, by the specification alone (RFC 2083, section 6)."""
    chunks = _chunks(data)
    width, height, depth, colour, packing, filtering, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, colour, packing, filtering, interlace) == (16, 2, 0, 0, 0)
    raw = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    pixel, line = 6, 6 * width
    above = bytearray(line)
    lines = []
    for y in range(height):
        kind, row = raw[y * (line + 1)], bytearray(raw[y * (line + 1) + 1 : (y + 1) * (line + 1)])
        for i in range(line):
            a, b = (row[i - pixel] if i >= pixel else 0), above[i]
            c = above[i - pixel] if i >= pixel else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[i] = (row[i] + (0, a, b, (a + b) // 2, paeth)[kind]) % 256
        lines.append(bytes(row))
        above = row
    return np.frombuffer(b"".join(lines), ">u2").reshape(height, width, 3).astype(np.uint16)


@st.composite
def fields(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    return draw(arrays.arrays(np.float32, (*shape, 2), elements=INSIDE)), draw(arrays.arrays(np.bool_, shape))


@given(fields())
def test_a_field_comes_back_within_half_a_step(field: tuple[np.ndarray, np.ndarray]) -> None:
    flow, valid = field
    back, known = decode_flow(encode_flow(flow, valid))
    assert (back.dtype, known.dtype, back.shape) == (np.float32, np.bool_, flow.shape)
    assert np.array_equal(known, valid)
    assert not np.abs(back - flow)[valid].size or np.abs(back.astype(np.float64) - flow)[valid].max() <= HALF
    assert not back[~valid].any()


@given(fields())
@settings(max_examples=30)
def test_what_was_read_is_written_the_same_again(field: tuple[np.ndarray, np.ndarray]) -> None:
    data = encode_flow(*field)
    assert encode_flow(*decode_flow(data)) == data


@given(fields())
@settings(max_examples=30)
def test_the_layout_is_kittis(field: tuple[np.ndarray, np.ndarray]) -> None:
    flow, valid = field
    picture = _read(encode_flow(flow, valid)).astype(np.float64)
    assert np.array_equal(picture[..., 2], valid)  # blue
    assert not picture[~valid].any()
    u, v = (picture[..., 0] - 2**15) / 64, (picture[..., 1] - 2**15) / 64  # red, green
    assert (np.abs(u - flow[..., 0])[valid] <= HALF).all()
    assert (np.abs(v - flow[..., 1])[valid] <= HALF).all()


def test_a_file_of_another_writer_is_read() -> None:
    picture = np.array([[[32768 + 64, 32768 - 128, 1], [0, 0, 0]], [[0, 65535, 1], [40000, 1, 65535]]], np.uint16)
    flow, valid = decode_flow(_write(picture))
    assert valid.tolist() == [[True, False], [True, True]]
    assert flow.tolist() == [[[1.0, -2.0], [0.0, 0.0]], [[-512.0, 511.984375], [113.0, -511.984375]]]


def test_a_real_size_survives_every_filter_of_the_writer() -> None:
    y, x = np.mgrid[0:64, 0:128].astype(np.float32)
    flow = np.stack([20 * np.sin(x / 9) + y / 7, 3 * np.cos(y / 5) - x / 50], 2)
    flow[20:30] = np.random.default_rng(0).normal(0, 50, (10, 128, 2))
    assert np.abs((_read(encode_flow(flow))[..., :2].astype(float) - 2**15) / 64 - flow).max() <= HALF


def test_without_a_mask_all_is_valid_and_what_is_too_far_is_clipped() -> None:
    flow = np.array([[[600.0, -600.0], [511.99, -512.0]]], np.float64)
    back, valid = decode_flow(encode_flow(flow))
    assert valid.all()
    assert back.tolist() == [[[511.984375, -512.0], [511.984375, -512.0]]]


def test_what_is_not_valid_leaves_no_trace() -> None:
    valid = np.array([[True, False, False]])
    one = np.array([[[1, 2], [np.nan, 3], [np.inf, -np.inf]]], np.float32)
    other = np.array([[[1, 2], [-7, 0], [1e30, 5]]], np.float32)
    assert encode_flow(one, valid) == encode_flow(other, valid)


@pytest.mark.parametrize(
    ("flow", "valid", "message"),
    [
        (np.zeros((4, 4), np.float32), None, r"of the shape \(H, W, 2\), not float32 of \(4, 4\)"),
        (np.zeros((4, 4, 2), np.int16), None, "not int16"),
        (np.zeros((0, 4, 2), np.float32), None, "0x4 is outside 1"),
        (np.zeros((4, 4, 2), np.float32), np.ones((4, 5), bool), r"valid must be bool of the shape \(4, 4\)"),
        (np.zeros((4, 4, 2), np.float32), np.ones((4, 4), np.uint8), "not uint8"),
        (np.full((4, 4, 2), np.nan, np.float32), None, "not finite at 16 pixels"),
    ],
)
def test_what_is_no_flow_is_refused(flow: np.ndarray, valid: np.ndarray | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_flow(flow, valid)


def _sample() -> bytes:
    rng = np.random.default_rng(1)
    return encode_flow(rng.normal(0, 9, (24, 40, 2)).astype(np.float32), rng.random((24, 40)) < 0.8)


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=200)
def test_a_flipped_byte_is_noticed_wherever_it_is(at: int, bits: int) -> None:
    data = bytearray(_sample())
    data[at % len(data)] ^= bits
    with pytest.raises(FormatError, match="^clip.flow.png "):
        decode_flow(bytes(data), "clip.flow.png")


@given(st.integers(0, 10**6))
def test_a_file_that_is_cut_off_is_noticed(length: int) -> None:
    data = _sample()
    with pytest.raises(FormatError, match="cut off|no PNG"):
        decode_flow(data[: length % len(data)])


def test_pixels_that_do_not_decode_are_noticed_although_checksums_are_right() -> None:
    chunks = [(kind, content[: len(content) // 2] if kind == b"IDAT" else content) for kind, content in _chunks(_sample())]
    with pytest.raises(FormatError, match="pixels cannot be decoded"):
        decode_flow(_png(chunks))


@pytest.mark.parametrize(
    ("picture", "extension", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), ".png", "8 bits a channel and colour type 2"),
        (np.zeros((8, 8), np.uint16), ".png", "16 bits a channel and colour type 0"),
        (np.zeros((8, 8, 4), np.uint16), ".png", "16 bits a channel and colour type 6"),
        (np.zeros((8, 8, 3), np.uint8), ".jpg", "is no PNG"),
    ],
)
def test_other_pictures_are_refused(picture: np.ndarray, extension: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        decode_flow(cv2.imencode(extension, picture)[1].tobytes())


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [(2**31 - 1, 2**31 - 1, "outside 1"), (16384, 16384, "more than .* bytes can hold"), (0, 4, "outside 1")],
)
def test_a_head_that_promises_too_much_is_not_believed(width: int, height: int, message: str) -> None:
    chunks = _chunks(_sample())
    chunks[0] = b"IHDR", struct.pack(">II", width, height) + chunks[0][1][8:]
    with pytest.raises(FormatError, match=message):
        decode_flow(_png(chunks))
