"""Delay, shadow and distance at the ears against geometry, and the symmetry of the whole."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from dataio.ingest.scenes.acoustics import SPEED_OF_SOUND, STEP, longest_delay, loudest, propagate, shadow
from dataio.ingest.scenes.motion import Path, direction, locate
from dataio.ingest.scenes.rig import ear_axes, ear_positions, mirrored_channels, turned_channels
from dataio.ingest.scenes.soundtrack import pressure
from dataio.ingest.scenes.world import Scene, Thing, draw_scene

RATE = 96_000
PASSING = Path(azimuth=20.0, speed=30.0, distance=6.0, height=-0.8, reach=1.5, reach_period=8.0, reach_phase=1.0)


def _at(azimuth: float, distance: float = 6.0) -> Path:
    return Path(azimuth=azimuth, speed=0.0, distance=distance, height=0.0)


def _metres(azimuth: float, distance: float) -> np.ndarray:
    return np.linalg.norm(np.array(direction(azimuth, 0.0)) * distance - ear_positions(), axis=1)


@pytest.mark.parametrize("index", [0, 3])
def test_turned_and_mirrored_scenes_permute_the_channels(index: int, turned: Callable, mirrored: Callable) -> None:
    scene = draw_scene(11, index)
    sound = pressure(scene.things, 9_600, RATE)
    scale = np.abs(sound).max()
    for quarters in (1, 2, 3):
        np.testing.assert_allclose(
            pressure(turned(scene, 90.0 * quarters).things, 9_600, RATE), sound[turned_channels(quarters)], atol=2e-4 * scale
        )
    np.testing.assert_allclose(pressure(mirrored(scene).things, 9_600, RATE), sound[mirrored_channels()], atol=2e-4 * scale)
    assert np.abs(sound[0] - sound[4]).max() > 0.1 * scale  # and the channels are not all alike


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("azimuth", [-40.0, -15.0, 0.0, 30.0])
def test_the_delay_between_two_ears_is_their_difference_in_distance(
    quarter: int, azimuth: float, thing: Callable[..., Thing]
) -> None:
    azimuth += 90.0 * quarter
    sound = pressure((thing("motorcycle", _at(azimuth)),), 16_384, RATE)[2 * quarter : 2 * quarter + 2]
    metres = _metres(azimuth, 6.0)[2 * quarter : 2 * quarter + 2]
    # only above 8 kHz, where the shadow's phase has settled
    left, right = np.fft.rfft(sound)
    cross = right * np.conj(left)
    cross[: int(8_000 / RATE * sound.shape[1])] = 0.0
    correlation = np.fft.irfft(cross)
    lag = (int(np.argmax(correlation)) + 8_192) % 16_384 - 8_192
    assert lag == pytest.approx((metres[1] - metres[0]) / SPEED_OF_SOUND * RATE, abs=1.0)


@pytest.mark.parametrize("path", [_at(65.0), PASSING], ids=["still", "passing"])
def test_a_tone_arrives_late_and_weak_by_the_distance(path: Path) -> None:
    """A tone in the low part alone: its delay and level are known in closed form at every sample, moving or not."""
    count, past = 64 * STEP, longest_delay(12.0, RATE)
    tone = np.sin(2.0 * math.pi * 3_000.0 / RATE * (np.arange(past + count) - past)).astype(np.float32)
    out = np.zeros((8, count), np.float32)
    propagate(tone, np.zeros_like(tone), 0, float(RATE), path.row(), ear_positions(), ear_axes(), 2.0, out)
    seconds = np.arange(count) / RATE
    for channel, ear in enumerate(ear_positions()):
        places = [locate(path.row(), t) for t in seconds]
        metres = np.array([np.linalg.norm(np.array(direction(a, e)) * d - ear) for a, e, d in places])
        expected = 2.0 / metres * np.sin(2.0 * math.pi * 3_000.0 * (seconds - metres / SPEED_OF_SOUND))
        np.testing.assert_allclose(out[channel], expected, atol=2e-3)


def test_the_far_ear_loses_high_frequencies_and_keeps_low_ones(thing: Callable[..., Thing]) -> None:
    sound = pressure((thing("car", _at(-90.0)),), RATE // 2, RATE)
    power = np.abs(np.fft.rfft(sound[:2])) ** 2  # front L on the near face, front R on the far one
    hertz = np.fft.rfftfreq(RATE // 2, 1.0 / RATE)

    def decibels(low: float, high: float) -> float:
        band = (hertz >= low) & (hertz < high)
        return float(10.0 * np.log10(power[0, band].sum() / power[1, band].sum()))

    assert 0.0 < decibels(20.0, 200.0) < 2.0
    assert decibels(6_000.0, 14_000.0) > 15.0
    assert decibels(6_000.0, 14_000.0) > decibels(1_000.0, 2_000.0) > decibels(200.0, 500.0)


def test_a_pair_hears_the_front_brighter_than_the_back(thing: Callable[..., Thing]) -> None:
    front, back = (pressure((thing("motorcycle", _at(azimuth)),), 9_600, RATE)[:2].std() for azimuth in (0.0, 180.0))
    assert front > 1.5 * back


def test_level_falls_with_distance(thing: Callable[..., Thing]) -> None:
    near, far = (pressure((thing("car", _at(10.0, metres)),), RATE // 2, RATE).std() for metres in (4.0, 8.0))
    assert near / far == pytest.approx(2.0, rel=0.1)


def test_the_shadow_falls_from_two_to_a_tenth() -> None:
    gains = [shadow(math.cos(math.radians(angle))) for angle in range(0, 151, 10)]
    assert gains[0] == pytest.approx(2.0) and gains[-1] == pytest.approx(0.1)
    assert all(a > b for a, b in zip(gains, gains[1:], strict=False))


def test_the_bound_of_the_level_holds_for_the_worst_signal() -> None:
    """A square wave that the ears' filters meet at their worst stays below `loudest`."""
    count, past = 64 * STEP, longest_delay(12.0, RATE)
    square = np.sign(np.sin(2.0 * math.pi * 400.0 / RATE * np.arange(past + count))).astype(np.float32)
    low = np.empty_like(square)
    state, corner = 0.0, 0.08
    for i, value in enumerate(square):
        state += corner * (value - state)
        low[i] = state
    for azimuth in range(-180, 180, 45):
        out = np.zeros((8, count), np.float32)
        propagate(low, square - low, 0, float(RATE), _at(azimuth, 3.5).row(), ear_positions(), ear_axes(), 1.0, out)
        assert np.abs(out).max() < loudest(1.0, 3.5)


def test_silent_things_are_not_heard() -> None:
    silent = tuple(thing for thing in draw_scene(2, 0).things if not thing.sounding)
    assert len(silent) >= 2
    assert not pressure(Scene(silent, 0, 0).things, 1_000, RATE).any()
