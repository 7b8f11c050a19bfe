"""The four heads in a first-order sound field: where a plane wave comes from must be heard, in time, level and timbre."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from dataio.format.clip import EARS, PAIRS
from dataio.ingest.errors import SourceError
from dataio.ingest.media.ambisonics import BinauralTrack, filters, rotated

RATE = 48_000
RATES = (8_000, 24_000, 44_100, 48_000, 96_000)


@dataclass
class Held:
    """A track in memory, silent beyond its ends."""

    sound: np.ndarray
    rate: int = RATE
    closed: bool = False

    @property
    def seconds(self) -> float:
        return len(self.sound) / self.rate

    def read(self, start: int, count: int) -> np.ndarray:
        out = np.zeros((count, self.sound.shape[1]), self.sound.dtype)
        low, high = max(start, 0), min(start + count, len(self.sound))
        if low < high:
            out[low - start : high - start] = self.sound[low:high]
        return out

    def close(self) -> None:
        self.closed = True


def wave(source: np.ndarray, azimuth: float, elevation: float = 0.0) -> np.ndarray:
    """A plane wave from an azimuth (degrees, clockwise from the front) and an elevation: (n, 4) float32, ambiX."""
    a, e = math.radians(-azimuth), math.radians(elevation)  # ambiX counts anticlockwise
    gains = (1.0, math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e))
    return (source[:, None] * np.array(gains)).astype(np.float32)


def noise(rate: int = RATE, seconds: float = 1.0) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(round(rate * seconds)) * 0.1


def hear(field: np.ndarray, rate: int = RATE) -> np.ndarray:
    """(n, 8): the eight ears, in the order of EARS."""
    return BinauralTrack(Held(field, rate)).read(0, len(field)).astype(np.float64)


def ears(azimuth: float, pair: str = "front", elevation: float = 0.0, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    """What the left and the right ear of a pair hear of white noise from there."""
    at = 2 * PAIRS.index(pair)
    heard = hear(wave(noise(rate), azimuth, elevation), rate)
    return heard[:, at], heard[:, at + 1]


def level(sound: np.ndarray, low: float = 20, high: float = 20_000, rate: int = RATE) -> float:
    """Decibels within a band."""
    spectrum, hertz = np.abs(np.fft.rfft(sound)) ** 2, np.fft.rfftfreq(len(sound), 1 / rate)
    return 10 * math.log10(spectrum[(hertz >= low) & (hertz < high)].sum() / len(sound) ** 2 * 2)


def lateness(a: np.ndarray, b: np.ndarray, rate: int = RATE, below: float = 1500) -> float:
    """Milliseconds by which `a` lags `b`: the peak of the cross-correlation of what lies below 1.5 kHz, interpolated 16-fold."""
    spectrum = np.fft.rfft(a) * np.conj(np.fft.rfft(b))
    spectrum[np.fft.rfftfreq(len(a), 1 / rate) > below] = 0
    correlation = np.fft.irfft(spectrum, 16 * len(a))
    peak = int(correlation.argmax())
    return (peak if peak < len(correlation) // 2 else peak - len(correlation)) / (16 * rate) * 1e3


def test_the_ear_nearer_to_the_source_hears_it_louder_and_earlier():
    for azimuth, near in ((-90, 0), (90, 1)):
        heard = ears(azimuth)
        assert level(heard[near]) > level(heard[1 - near]) + 6
        assert 0.3 < lateness(heard[1 - near], heard[near]) < 0.8


def test_the_delay_between_the_ears_grows_with_the_angle_and_is_a_spheres_at_low_frequencies():
    late = [lateness(*ears(azimuth), below=300) for azimuth in (0, 30, 60, 90)]
    assert late[0] == pytest.approx(0, abs=1e-3) and late == sorted(late)
    # Kuhn 1977: below some 500 Hz a rigid sphere delays by 3a/c·sin θ
    for azimuth, measured in zip((30, 60, 90), late[1:], strict=True):
        assert measured == pytest.approx(3 * 0.0875 / 343 * math.sin(math.radians(azimuth)) * 1e3, rel=0.1)


def test_the_level_between_the_ears_grows_with_frequency():
    left, right = ears(-60)
    difference = [level(left, f, 2 * f) - level(right, f, 2 * f) for f in (150, 600, 2400, 6000)]
    assert difference == sorted(difference) and difference[0] < 1 and difference[-1] > 9


def test_a_source_from_the_left_swaps_the_ears_of_the_head_that_looks_back():
    front, back = ears(-90, "front"), ears(-90, "back")
    assert level(front[0]) > level(front[1]) + 6 and level(back[1]) > level(back[0]) + 6
    assert level(front[0]) == pytest.approx(level(back[1]), abs=0.1)  # mirrored about the ears' axis, from which this wave comes


@pytest.mark.parametrize(("azimuth", "pair"), [(0, "front"), (90, "right"), (180, "back"), (-90, "left")])
def test_each_head_hears_what_it_faces_in_both_ears_alike_and_brightest_of_all(azimuth, pair):
    left, right = ears(azimuth, pair)
    assert np.abs(left - right).max() < 1e-6
    opposite = PAIRS[(PAIRS.index(pair) + 2) % 4]
    assert level(left, 3000) > level(ears(azimuth, opposite)[0], 3000) + 2


def test_turning_the_source_and_the_head_together_changes_nothing():
    first = hear(wave(noise(), 17))
    for quarters in (1, 2, 3):
        turned = hear(wave(noise(), 17 + 90 * quarters))
        assert np.abs(turned - np.roll(first, 2 * quarters, 1)).max() < 1e-5


def test_mirroring_the_source_swaps_the_ears_of_front_and_back():
    first, mirrored = hear(wave(noise(), 35)), hear(wave(noise(), -35))
    assert np.abs(mirrored - first[:, [1, 0, 7, 6, 5, 4, 3, 2]]).max() < 1e-5


def test_sound_from_everywhere_is_alike_in_all_ears():
    field = np.zeros((RATE, 4), np.float32)
    field[:, 0] = noise()
    heard = hear(field)
    assert np.abs(heard - heard[:, :1]).max() < 1e-6 and level(heard[:, 0]) > -40


def test_sound_from_above_is_in_the_middle_and_higher_sources_are_less_to_the_side():
    left, right = ears(0, elevation=90)
    assert np.abs(left - right).max() < 1e-6
    difference = [abs(lateness(*ears(90, elevation=e))) for e in (0, 40, 80)]
    assert difference == sorted(difference, reverse=True)


@pytest.mark.parametrize("rate", RATES)
def test_a_frontal_wave_keeps_its_level_and_its_time(rate):
    source = noise(rate)
    left, right = ears(0, rate=rate)
    assert abs(10 * math.log10(np.mean(left**2) / np.mean(source**2))) < 3
    # the squared response to white noise is centred on time 0 to a sample; what lies below 1.5 kHz is off by less than 0.1 ms
    response = np.fft.fftshift(np.fft.irfft(np.fft.rfft((left + right) / 2) * np.conj(np.fft.rfft(source)))) ** 2
    near = np.arange(-rate // 100, rate // 100)
    weights = response[len(response) // 2 + near]
    assert abs((near * weights).sum() / weights.sum()) < 1
    assert abs(lateness((left + right) / 2, source, rate)) < 0.1


def test_no_direction_is_far_too_loud_or_too_soft():
    levels = [[level(ear) - level(noise()) for ear in ears(azimuth)] for azimuth in range(-180, 180, 45)]
    assert np.min(levels) > -12 and np.max(levels) < 4


@pytest.mark.parametrize("rate", RATES)
def test_filters_are_short_and_end_in_silence(rate):
    found = filters(rate)
    assert found.dtype == np.float32 and found.shape[:2] == (4, 2) and not found.flags.writeable
    assert 0.01 * rate <= found.shape[2] < 0.02 * rate + 2
    assert np.isfinite(found).all() and np.abs(found[..., [0, -1]]).max() < 1e-4 * np.abs(found).max()
    middle = found.shape[2] // 2
    reach = round(0.003 * rate)
    assert (found[..., middle - reach : middle + reach] ** 2).sum() > 0.995 * (found**2).sum()


def test_a_whole_turn_is_none():
    front = filters(RATE)
    assert np.array_equal(rotated(front, 4), front) and np.array_equal(rotated(rotated(front, 1), 3), front)


def test_the_blocks_are_the_plain_convolution():
    field = np.random.default_rng(0).standard_normal((20_000, 4)).astype(np.float32)
    front = filters(RATE).astype(np.float64)
    middle = front.shape[2] // 2
    heard = hear(field)
    for i, ear in enumerate(EARS):
        head = rotated(front, i // 2)[:, i % 2]
        plain = sum(signal.oaconvolve(field[:, c].astype(np.float64), head[c]) for c in range(4))
        assert np.abs(heard[:, i] - plain[middle : middle + len(field)]).max() < 1e-5, ear


@settings(max_examples=20, deadline=None)
@given(st.integers(-3000, 30_000), st.lists(st.integers(1, 9000), min_size=1, max_size=6))
def test_a_read_does_not_depend_on_how_it_is_cut(start, lengths):
    track = BinauralTrack(Held(np.random.default_rng(1).standard_normal((25_000, 4)).astype(np.float32)))
    whole = track.read(start, sum(lengths))
    at, parts = start, []
    for length in lengths:
        parts.append(track.read(at, length))
        at += length
    assert np.array_equal(np.concatenate(parts), whole)


def test_it_is_linear_and_16_bit_sound_counts_as_fractions_of_full_scale():
    one, two = wave(noise(), 20), wave(noise()[::-1], -100, 30)
    assert np.abs(hear(one + 2 * two) - hear(one) - 2 * hear(two)).max() < 1e-5
    pcm = np.rint(one * 32768).clip(-32768, 32767).astype(np.int16)
    assert np.abs(hear(pcm) - hear(one)).max() < 1e-4


def test_a_track_of_another_number_of_channels_is_refused_and_closing_closes():
    held = Held(np.zeros((100, 2), np.float32))
    track = BinauralTrack(held)
    assert (track.rate, track.seconds) == (RATE, 100 / RATE)
    with pytest.raises(SourceError, match="this has 2"):
        track.read(0, 10)
    track.close()
    assert held.closed
