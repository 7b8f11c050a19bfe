"""The CPU spectrogram against torch and torchaudio in float64, on silence, tones, impulses and whatever hypothesis finds."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataio.stream.kernels import stft
from dataio.stream.kernels.bins import IPD_FLOOR

seconds = st.integers(257, 8000)  # samples: from the shortest that can be reflected to several blocks of 16 columns
gain = st.floats(2**-10, 32, width=32)
seed = st.integers(0, 2**32 - 1)


def noise(samples: int, seed: int = 0, peak: int = 20000) -> np.ndarray:
    return np.random.default_rng(seed).integers(-peak, peak + 1, (samples, 2)).astype(np.int16)


def reference(pcm: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """(2, 257, T) complex128 by torch.stft, in float64 throughout."""
    x = torch.from_numpy(pcm.T.astype(np.float64) / 32768 * np.asarray(gains, np.float64)[:, None])
    window = torch.hann_window(512, periodic=True, dtype=torch.float64)
    return torch.stft(x, 512, 160, window=window, center=True, pad_mode="reflect", return_complex=True).numpy()


def ours(pcm: np.ndarray, gains: np.ndarray, kind: str) -> np.ndarray:
    out = np.full((2, *((2,) if kind == "complex" else ()), 257, stft.columns(len(pcm))), np.nan, np.float32)
    stft.spectrogram(pcm, np.asarray(gains, np.float32), out, kind)
    return out


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@settings(max_examples=60, deadline=None)
@given(samples=seconds, left=gain, right=gain, seed=seed)
@example(samples=257, left=1.0, right=1.0, seed=0)
@example(samples=15 * 160 - 1, left=1.0, right=1.0, seed=0)  # 15 columns: less than one block
@example(samples=15 * 160, left=1.0, right=1.0, seed=0)  # exactly one
@example(samples=16 * 160, left=1.0, right=1.0, seed=0)  # one column more
@example(samples=96000, left=1.3, right=0.7, seed=1)  # the default clip
def test_every_kind_is_that_of_torch_in_float64(samples: int, left: float, right: float, seed: int) -> None:
    pcm, gains = noise(samples, seed), np.array([left, right], np.float32)
    expected = reference(pcm, gains)
    found = ours(pcm, gains, "complex")
    for ear in range(2):  # each ear by itself: a loud one must not blur a quiet one
        assert distance(found[ear, 0] + 1j * found[ear, 1], expected[ear]) < 5e-7
        assert distance(ours(pcm, gains, "magnitude")[ear], np.abs(expected[ear])) < 5e-7
    # a bin that nearly cancels keeps the rounding of its neighbours, here 1e-6 of the frame's root mean square
    spread = 1e-6 * np.sqrt((np.abs(expected) ** 2).mean(1, keepdims=True))
    magnitude = np.abs(expected)
    slack = 1e-5 + 2 * spread / np.maximum(magnitude, 1e-5**0.5)
    assert (np.abs(ours(pcm, gains, "log") - np.log(np.maximum(magnitude**2, 1e-5))) < slack).all()
    phase = expected[0] * expected[1].conj() / (magnitude[0] * magnitude[1])
    clear = (magnitude > 1e3 * spread).all(0) & (magnitude**2 > 4 * IPD_FLOOR).all(0)
    cosine, sine = ours(pcm, gains, "ipd")
    assert clear.mean() > 0.9 or min(left, right) < 0.01
    assert np.abs(cosine + 1j * sine - phase)[clear].max(initial=0) < 5e-3
    assert np.allclose(cosine**2 + sine**2, 1, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(samples=seconds, seed=seed)
def test_agrees_with_torchaudio(samples: int, seed: int) -> None:
    pcm = noise(samples, seed)
    x = torch.from_numpy(pcm.T.astype(np.float64) / 32768)
    for kind, power in (("magnitude", 1), ("complex", None)):
        transform = torchaudio.transforms.Spectrogram(
            n_fft=512, hop_length=160, power=power, window_fn=torch.hann_window, wkwargs={"dtype": torch.float64}
        )
        found = ours(pcm, np.ones(2), kind)
        assert distance(found[:, 0] + 1j * found[:, 1] if power is None else found, transform(x).numpy()) < 5e-7


def test_log_is_within_1e_4_where_power_is_above_the_rounding() -> None:
    pcm, gains = noise(96000), np.ones(2, np.float32)
    power = np.abs(reference(pcm, gains)) ** 2
    error = np.abs(ours(pcm, gains, "log") - np.log(np.maximum(power, 1e-5)))
    assert error.max() < 5e-4
    assert error[power > 1e-3].max() < 1e-4
    assert np.median(error) < 1e-6


@pytest.mark.parametrize("peak", [1, 30, 1000])
def test_quiet_sound_keeps_its_accuracy(peak: int) -> None:
    pcm = noise(9600, peak=peak)
    assert distance(ours(pcm, np.ones(2), "magnitude"), np.abs(reference(pcm, np.ones(2)))) < 5e-7


@pytest.mark.parametrize("samples", [257, 2399, 5000])
def test_silence(samples: int) -> None:
    silence = np.zeros((samples, 2), np.int16)
    assert np.allclose(ours(silence, np.ones(2), "log"), np.log(1e-5), rtol=0, atol=2e-6)
    assert not ours(silence, np.ones(2), "magnitude").any()
    assert not ours(silence, np.ones(2), "complex").any()
    cosine, sine = ours(silence, np.ones(2), "ipd")
    assert (cosine == 1).all()
    assert (sine == 0).all()


def test_a_silent_ear_stays_exactly_silent_beside_a_loud_one() -> None:
    pcm = noise(6000, peak=32767)
    pcm[:, 1] = 0
    assert not ours(pcm, np.full(2, 30), "magnitude")[1].any()
    cosine, sine = ours(pcm, np.full(2, 30), "ipd")
    assert (cosine == 1).all()
    assert (sine == 0).all()


def test_full_scale_and_the_most_negative_sample() -> None:
    pcm = np.full((4000, 2), -32768, np.int16)
    pcm[:, 1] = 32767
    magnitude = ours(pcm, np.ones(2), "magnitude")
    assert np.allclose(magnitude[0, 0], 256, rtol=1e-6)  # a constant: half of the window's length at 0 Hz, a quarter beside it
    assert np.allclose(magnitude[1, :3, 5], np.array([256, 128, 0]) * 32767 / 32768, atol=1e-3)
    assert np.allclose(ours(pcm, np.ones(2), "ipd")[0, :2], -1, atol=1e-6)


@pytest.mark.parametrize("k", [3, 37, 128, 200, 253])
def test_a_tone_of_whole_periods_fills_its_bin_and_half_of_its_neighbours(k: int) -> None:
    time = np.arange(8000)
    pcm = np.round(16384 * np.cos(2 * np.pi * k * time / 512)).astype(np.int16)
    magnitude = ours(np.stack([pcm, pcm // 2], 1), np.ones(2), "magnitude")[:, :, 4:-4]
    assert (magnitude.argmax(1) == k).all()
    assert np.allclose(magnitude[0, k], 64, rtol=1e-3)  # amplitude ½ · 512 / 2 · mean of the window ½
    assert np.allclose(magnitude[0, k + 1], 32, rtol=1e-3)
    assert np.allclose(magnitude[1, k], 32, rtol=1e-3)


def test_an_impulse_is_flat_and_seen_by_the_frames_that_hold_it() -> None:
    pcm = np.zeros((6400, 2), np.int16)
    pcm[20 * 160, 0] = 16384  # the centre of frame 20, where the window is 1
    magnitude = ours(pcm, np.ones(2), "magnitude")
    assert np.allclose(magnitude[0, :, 20], 0.5, rtol=1e-6)
    assert np.flatnonzero(magnitude[0].any(0)).tolist() == [19, 20, 21]
    assert not magnitude[1].any()


def test_phase_difference_of_a_delayed_tone() -> None:
    k, delay, time = 40, 3, np.arange(6000)
    left, right = (np.round(16000 * np.sin(2 * np.pi * k * (time - lag) / 512)) for lag in (0, delay))
    cosine, sine = ours(np.stack([left, right], 1).astype(np.int16), np.ones(2), "ipd")[:, k, 4:-4]
    angle = 2 * np.pi * k * delay / 512  # the right ear hears it later: left minus right is positive
    assert np.allclose(cosine, np.cos(angle), atol=1e-3)
    assert np.allclose(sine, np.sin(angle), atol=1e-3)


def test_a_quiet_bin_has_no_phase_at_either_side_of_the_floor() -> None:
    pcm = noise(4000, peak=300)
    gains = np.float32([1.0, 2e-6 * 32768 / 300])  # the right ear's magnitudes scatter around the root of the floor
    weaker = (np.abs(reference(pcm, gains)) ** 2).min(0)
    cosine, sine = ours(pcm, gains, "ipd")
    inner = np.s_[
        1:-1, 1:-1
    ]  # the outermost bins and frames (mirrored at their centre) are real and may well have exactly this phase
    none, weaker = ((cosine == 1) & (sine == 0))[inner], weaker[inner]
    assert none[weaker < 0.99 * IPD_FLOOR].all()
    assert not none[weaker > 1.01 * IPD_FLOOR].any()
    assert 0.05 < none.mean() < 0.95


@pytest.mark.parametrize("kind", stft.KINDS)
def test_threads_do_not_disturb_one_another(kind: str) -> None:
    clips = [noise(5000 + 37 * i, seed=i) for i in range(24)]
    alone = [ours(pcm, np.ones(2), kind) for pcm in clips]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pcm: ours(pcm, np.ones(2), kind), clips * 4))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))


@pytest.mark.parametrize("kind", stft.KINDS)
@pytest.mark.parametrize("samples", [300, 2400, 4321])
def test_nothing_outside_the_output_is_written(kind: str, samples: int) -> None:
    batch = np.full((3, 2, *((2,) if kind == "complex" else ()), 257, stft.columns(samples)), 7, np.float32)
    stft.spectrogram(noise(samples), np.ones(2, np.float32), batch[1], kind)
    assert (batch[[0, 2]] == 7).all()
    assert np.array_equal(batch[1], ours(noise(samples), np.ones(2), kind))


def test_pcm_may_be_read_only_unaligned_or_strided() -> None:
    pcm = noise(3000)
    expected = ours(pcm, np.ones(2), "log")
    read_only = np.frombuffer(pcm.tobytes(), np.int16).reshape(-1, 2)
    unaligned = np.frombuffer(b"x" + pcm.tobytes(), np.int16, offset=1).reshape(-1, 2)
    strided = np.concatenate([pcm, pcm], 1)[:, 2:]
    before = pcm.copy()
    for same in (read_only, unaligned, strided, np.asfortranarray(pcm)):
        assert np.array_equal(ours(same, np.ones(2), "log"), expected)
    assert pcm.flags.writeable
    assert np.array_equal(pcm, before)


def test_columns() -> None:
    assert [stft.columns(n) for n in (257, 319, 320, 96000)] == [2, 2, 3, 601]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "power"}, "kind is 'power'; allowed: log, magnitude, complex, ipd"),
        ({"pcm": np.zeros((400, 2), np.float32)}, r"pcm is float32 of shape \(400, 2\); allowed: int16"),
        ({"pcm": np.zeros((400, 3), np.int16)}, r"pcm is int16 of shape \(400, 3\); allowed: int16 of shape \(samples, 2\)"),
        ({"pcm": np.zeros(400, np.int16)}, r"pcm is int16 of shape \(400,\)"),
        ({"pcm": np.zeros((256, 2), np.int16)}, "pcm has 256 samples; reflect padding needs at least 257"),
        ({"gains": np.ones(3, np.float32)}, r"gains are \[1.0, 1.0, 1.0\]; allowed: two finite numbers"),
        ({"gains": np.float32([1, np.nan])}, r"gains are \[1.0, nan\]; allowed: two finite numbers"),
        ({"out": np.zeros((2, 257, 4), np.float32)}, r"out is float32 of shape \(2, 257, 4\).* shape \(2, 257, 3\)"),
        ({"out": np.zeros((2, 257, 3))}, "out is float64 of shape"),
        ({"out": np.zeros((2, 257, 6), np.float32)[:, :, ::2]}, "not contiguous, writable"),
        ({"out": np.broadcast_to(np.float32(0), (2, 257, 3))}, "not writable"),
        ({"kind": "complex"}, r"shape \(2, 2, 257, 3\)"),
    ],
)
def test_what_cannot_be_done_is_said(change: dict[str, object], words: str) -> None:
    arguments = {"pcm": noise(400), "gains": np.ones(2, np.float32), "out": np.zeros((2, 257, 3), np.float32), "kind": "log"}
    with pytest.raises(ValueError, match=words):
        stft.spectrogram(**(arguments | change))
