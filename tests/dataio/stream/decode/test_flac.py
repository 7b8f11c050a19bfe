"""A window of FLAC is the window of PCM, wherever it lies; what is damaged is refused and never heard."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.ingest.encode.ears import flac
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.flac import window

SAMPLES = 20_000


def _pcm(seed: int = 0, samples: int = SAMPLES, level: float = 1500.0) -> np.ndarray:
    sound = np.random.default_rng(seed).standard_normal((samples, 2)) * level
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


PCM = _pcm()
FLAC = flac(PCM, 96_000)


@settings(deadline=None, max_examples=60)
@given(start=st.integers(0, SAMPLES), samples=st.integers(0, SAMPLES))
def test_a_window_is_that_of_pcm(start: int, samples: int) -> None:
    samples = min(samples, SAMPLES - start)
    got = window(np.frombuffer(FLAC, np.uint8), start, samples)
    assert (got.dtype, got.shape) == (np.int16, (samples, 2))
    assert np.array_equal(got, PCM[start : start + samples])


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros((SAMPLES, 2), np.int16),  # frames of a few bytes
        lambda: np.full((SAMPLES, 2), -32768, np.int16),
        lambda: _pcm(level=50_000.0),  # clipped: frames that cannot be foretold
        lambda: np.repeat(_pcm()[:, :1], 2, 1),  # one ear
        lambda: _pcm()[:300],  # less than a frame
    ],
)
def test_sound_of_every_kind(make: Callable[[], np.ndarray]) -> None:
    pcm = make()
    data = flac(pcm, 48_000)
    for start in (0, 1, len(pcm) // 2, len(pcm) - 1):
        assert np.array_equal(window(data, start, len(pcm) - start), pcm[start:])


def test_several_threads_hear_the_same() -> None:
    starts = list(range(0, 10_000, 250))
    with ThreadPoolExecutor(4) as pool:
        for start, got in zip(starts, pool.map(lambda at: window(FLAC, at, 10_000), starts), strict=True):
            assert np.array_equal(got, PCM[start : start + 10_000])


def _sound_file(pcm: np.ndarray, form: str, subtype: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, 96_000, format=form, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "start", "message"),
    [
        (b"", 0, "^no FLAC$"),
        (_sound_file(PCM, "WAV", "PCM_16"), 0, "^no FLAC$"),
        (_sound_file(PCM, "OGG", "VORBIS"), 0, "^no FLAC$"),
        (_sound_file(PCM[:, :1], "FLAC", "PCM_16"), 0, "^1 channels of PCM_16; read are 2 of PCM_16$"),
        (_sound_file(PCM, "FLAC", "PCM_24"), 0, "^2 channels of PCM_24; read are 2 of PCM_16$"),
        (FLAC, SAMPLES - 999, f"^holds no window of 1000 samples from {SAMPLES - 999}: it has {SAMPLES}$"),
        (FLAC, -1, "^holds no window of 1000 samples from -1"),
        (FLAC[:20], 0, "^the FLAC is damaged or cut short: "),
        (FLAC[: len(FLAC) // 2], 15_000, "^the FLAC is damaged or cut short: |^breaks off at sample"),
    ],
)
def test_what_is_no_window_of_a_pair_is_refused(data: bytes, start: int, message: str) -> None:
    with pytest.raises(DecodeError, match=message) as caught:
        window(data, start, 1000)
    assert caught.value.reason == str(caught.value)


def test_a_changed_bit_is_never_heard(capfd: pytest.CaptureFixture[str]) -> None:
    """Every frame carries a checksum of its own: a window is the right one, or refused."""
    chance = np.random.default_rng(1)
    refused = 0
    for trial in range(400):
        data = bytearray(FLAC)
        data[int(chance.integers(len(data) if trial % 2 else 200))] ^= 1 << int(chance.integers(8))
        try:
            assert np.array_equal(window(bytes(data), 5000, 5000), PCM[5000:10_000])
        except DecodeError:
            refused += 1
    assert 50 < refused < 350
    assert capfd.readouterr() == ("", "")
