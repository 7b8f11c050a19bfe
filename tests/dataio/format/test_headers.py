"""Media facts from first bytes, against the libraries that wrote the files; and what is damaged gives no facts, never an error."""

import io
import tempfile
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataio.format import headers
from dataio.format.index import Facts

RNG = np.random.default_rng(1)


def picture(height: int, width: int, kind: str = "JPEG", mode: str = "RGB", **options) -> bytes:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 255, shape, np.uint8)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def sound(samples: int, rate: int, channels: int, form: str, subtype: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, RNG.uniform(-1, 1, (samples, channels)), rate, format=form, subtype=subtype)
    return buffer.getvalue()


def video(codec: str, form: str, frames: int = 7, sound: bool = False, **options: str) -> bytes:
    """Frames of 48x64, with a track of sound before that of pictures where it is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        _write_video(path, codec, form, frames, sound, options)
        return path.read_bytes()


def _write_video(path: Path, codec: str, form: str, frames: int, sound: bool, options: dict[str, str]) -> None:
    with av.open(str(path), "w", form, options=options) as out:
        tone = out.add_stream("aac" if form == "mp4" else "libopus", 48_000) if sound else None
        stream = out.add_stream(codec, 8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            picture = av.VideoFrame.from_ndarray(RNG.integers(0, 255, (48, 64, 3), np.uint8))
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
        if tone:
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 48_000), np.int16), "s16", "stereo")
            heard.sample_rate = 48_000
            out.mux([*tone.encode(heard), *tone.encode()])


def chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


FMT = chunk(b"fmt ", bytes.fromhex("0100 0200 80bb0000 00ee0200 0400 1000"))  # PCM, 2 channels, 48 kHz, 16 bits
EXIF = b"Exif\0\0" + picture(16, 24)  # a thumbnail, with a frame header of its own
SEGMENT = b"\xff\xe2" + (65_535).to_bytes(2, "big") + b"\xff\xc0" * 32_766 + b"x"

CASES = {
    "jpeg": (picture(37, 51), Facts(height=37, width=51)),
    "progressive": (picture(37, 51, progressive=True), Facts(height=37, width=51)),
    "grey": (picture(8, 600, mode="L"), Facts(height=8, width=600)),
    "thumbnail": (picture(37, 51, exif=EXIF), Facts(height=37, width=51)),
    "fill bytes": (b"\xff\xd8\xff\xff\xff" + picture(37, 51)[2:], Facts(height=37, width=51)),
    "long head": (b"\xff\xd8" + SEGMENT * 9 + picture(37, 51)[2:], Facts(height=37, width=51)),
    "tables first": (lambda j: (j[:2] + j[j.index(b"\xff\xdb") :], Facts(height=37, width=51)))(picture(37, 51)),
    "png": (picture(3, 70_000, "PNG", "L"), Facts(height=3, width=70_000)),
    "palette": (picture(30, 70, "PNG", "P"), Facts(height=30, width=70)),
    "wav": (sound(1000, 96_000, 2, "WAV", "PCM_16"), Facts(rate=96_000, channels=2, samples=1000, data=44)),
    "mono": (sound(1001, 8000, 1, "WAV", "PCM_16"), Facts(rate=8000, channels=1, samples=1001, data=44)),
    "24 bits": (sound(999, 48_000, 3, "WAV", "PCM_24"), Facts(rate=48_000, channels=3, samples=999)),
    "float": (sound(50, 44_100, 2, "WAV", "FLOAT"), Facts(rate=44_100, channels=2, samples=50)),
    "flac": (sound(1234, 96_000, 2, "FLAC", "PCM_16"), Facts(rate=96_000, channels=2, samples=1234)),
    "flac 24": (sound(77, 192_000, 8, "FLAC", "PCM_24"), Facts(rate=192_000, channels=8, samples=77)),
    "mp4": (video("libx264", "mp4"), Facts(height=48, width=64, frames=7)),
    "mp4, head first": (video("libx264", "mp4", movflags="faststart"), Facts(height=48, width=64, frames=7)),
    "mp4 with sound": (video("mpeg4", "mp4", sound=True), Facts(height=48, width=64, frames=7)),
    "webm": (video("libvpx-vp9", "webm"), Facts(height=48, width=64, frames=7)),
    "webm with sound": (video("libvpx", "webm", sound=True), Facts(height=48, width=64, frames=7)),
    "mkv, live": (video("mpeg4", "matroska", live="1"), Facts(height=48, width=64, frames=7)),
    "chunks before": (riff(chunk(b"JUNK", b"odd"), FMT, chunk(b"LIST", bytes(5000)), chunk(b"data", bytes(400))),
                      Facts(rate=48_000, channels=2, samples=100, data=12 + 12 + 24 + 5008 + 8)),
    "data before": (riff(chunk(b"data", bytes(402)), FMT), Facts(rate=48_000, channels=2, samples=100, data=20)),
    "a stream": (riff(FMT, b"data\xff\xff\xff\xff" + bytes(400)), Facts(rate=48_000, channels=2, samples=100, data=44)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_facts_are_those_of_the_file(case: str) -> None:
    data, expected = CASES[case]
    assert headers.facts(data) == expected


def test_extensible_wav() -> None:
    """A head of 40 bytes says in its sub-format what the data are."""
    head = bytes.fromhex("feff 0200 80bb0000 00ee0200 0400 1000 1600 1000 03000000 0100 000000001000800000aa00389b71")
    data = riff(chunk(b"fmt ", head), chunk(b"data", bytes(40)))
    assert soundfile.info(io.BytesIO(data)).subtype == "PCM_16"
    assert headers.facts(data) == Facts(rate=48_000, channels=2, samples=10, data=68)


def test_pcm_begins_where_it_says() -> None:
    data, expected = CASES["chunks before"]
    with wave.open(io.BytesIO(data)) as file:
        assert file.getnframes() == expected.samples
    assert data[expected.data - 8 : expected.data] == b"data" + (400).to_bytes(4, "little")


@pytest.mark.parametrize("case", CASES)
def test_a_part_gives_the_facts_or_asks_for_more(case: str) -> None:
    """However many bytes are there, inside other bytes, and a member that itself breaks off gives the facts or none."""
    data, expected = CASES[case]
    view = np.frombuffer(b"before" + data + b"after", np.uint8)
    row = np.empty(7, np.int64)
    asked = []
    for end in [*range(0, min(len(data), 200)), *range(200, len(data), 997), len(data)]:
        done = headers.read(view, 6, 6 + end, len(data), row)
        assert Facts(*row.tolist()) == (expected if done else Facts())
        asked.append(done)
        cut = headers.facts(data[:end])
        assert cut.height in (0, expected.height) and cut.rate in (0, expected.rate) and cut.samples <= expected.samples
    assert asked == sorted(asked) and asked[-1]


MP4 = b"\0\0\0\x08ftyp\0\0\0\x08moov\0\0\0\x08trak"
EBML = bytes.fromhex("1a45dfa380 18538067ff 1654ae6b80 ae80 d78101 838101 e080")


@given(
    st.sampled_from([b"\xff\xd8", b"\x89PNG", MP4, EBML, b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt ", b"fLaC", b""]),
    st.binary(max_size=200),
)
@settings(max_examples=300)
def test_noise_is_no_error_and_fits_the_index(magic: bytes, noise: bytes) -> None:
    found = headers.facts(magic + noise)
    assert all(0 <= value < 2**31 for value in (found.height, found.width, found.rate, found.channels, found.data, found.frames))
    assert 0 <= found.samples < 2**36


YES = ("jpg", "jpeg", "f000.JPG", "front.wav", "x.flac", "a.b.png", "mp4", "webm")
NO = ("jpg.txt", "json", "", "xxjpg", "aaaaaaaaajpg", "jp g", "gpj")


@pytest.mark.parametrize(("extension", "expected"), [(e, True) for e in YES] + [(e, False) for e in NO])
def test_which_members_are_looked_into(extension: str, expected: bool) -> None:
    names = np.frombuffer(b"a." + extension.encode(), np.uint8)
    assert headers.is_media(names, 2, len(extension)) == expected
