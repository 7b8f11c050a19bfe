"""Voices that differ, noise that is independent, levels that never clip, and blocks that join."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dataio.ingest.scenes.motion import Path
from dataio.ingest.scenes.soundtrack import BLOCK, FULL_SCALE, NOISE, pressure, soundtrack
from dataio.ingest.scenes.synthesis import PEAK, Speaker
from dataio.ingest.scenes.voices import draw_voice
from dataio.ingest.scenes.world import CLASSES, LOUDEST, NEAREST, Scene, Thing, draw_scene

RATE = 96_000
BANDS = ((0, 1_000), (1_000, 2_000), (2_000, 4_000), (4_000, 8_000), (8_000, 16_000), (16_000, 48_000))


def _voice(kind: str, seed: int, samples: int = RATE) -> np.ndarray:
    low, high = np.empty((2, samples), np.float32)
    Speaker(draw_voice(kind, seed, RATE), RATE, 0).speak(low, high)
    return low + high


def _shares(signal: np.ndarray) -> np.ndarray:
    """Part of the power in each of `BANDS`."""
    power = np.abs(np.fft.rfft(signal)) ** 2
    hertz = np.fft.rfftfreq(len(signal), 1.0 / RATE)
    return np.array([power[(hertz >= low) & (hertz < high)].sum() for low, high in BANDS]) / power.sum()


def _all(scene: Scene, samples: int) -> np.ndarray:
    return np.concatenate([block.copy() for block in soundtrack(scene, samples, RATE)], 1)


@pytest.mark.parametrize("kind", CLASSES[1:])
def test_a_voice_is_loud_above_one_kilohertz_and_bounded(kind: str) -> None:
    for seed in range(4):
        signal = _voice(kind, seed)
        assert np.isfinite(signal).all() and np.abs(signal).max() <= PEAK
        assert 0.7 < signal.std() < 1.3
        assert _shares(signal)[1:].sum() > 0.6
        assert abs(signal.mean()) < 0.02


def test_classes_have_different_envelopes_and_objects_of_a_class_alike() -> None:
    shares = {kind: np.array([_shares(_voice(kind, seed)) for seed in range(4)]) for kind in CLASSES[1:]}
    within = max(np.abs(rows - rows.mean(0)).sum(1).max() for rows in shares.values())
    means = [rows.mean(0) for rows in shares.values()]
    between = min(np.abs(means[i] - means[i - 1]).sum() for i in range(3))
    assert between > 2.0 * within


def test_a_class_without_voice_is_an_error() -> None:
    with pytest.raises(ValueError, match="'bird' has no voice; those that have one: car, tram, motorcycle"):
        draw_voice("bird", 0, RATE)


def test_speaking_in_stretches_is_speaking_at_once() -> None:
    whole = _voice("tram", 3, 6_400)
    speaker = Speaker(draw_voice("tram", 3, RATE), RATE, 0)
    parts = np.empty((2, 6_400), np.float32)
    for start in range(0, 6_400, 640):
        speaker.speak(parts[0, start : start + 640], parts[1, start : start + 640])
    np.testing.assert_allclose(parts.sum(0), whole, atol=1e-4)


def test_blocks_join_into_one_sound() -> None:
    """No click where a block ends: there the steps from sample to sample are no larger than elsewhere."""
    scene = draw_scene(4, 1)
    sound = pressure(scene.things, 4 * BLOCK, RATE)
    bends = np.abs(np.diff(sound, 3))
    for border in range(BLOCK, 4 * BLOCK, BLOCK):
        assert (bends[:, border - 3 : border + 1].max(1) < bends.max(1)).all()


def test_a_longer_recording_begins_like_a_shorter_one() -> None:
    scene = draw_scene(4, 0)
    short, long = _all(scene, 30_000), _all(scene, 50_001)
    assert short.shape == (4, 30_000, 2) and long.shape == (4, 50_001, 2)
    np.testing.assert_array_equal(short, long[:, :30_000])


def test_memory_does_not_grow_with_the_recording() -> None:
    blocks = soundtrack(draw_scene(4, 0), 10**9, RATE)
    first = next(blocks)
    assert first.shape == (4, BLOCK, 2) and np.shares_memory(first, next(blocks))


def test_the_loudest_scene_does_not_clip(thing: Callable[..., Thing]) -> None:
    things = [
        thing(kind, Path(65.0, 0.0, NEAREST, 0.0), loudness=LOUDEST, voice_seed=seed)
        for seed, kind in enumerate(("motorcycle", "motorcycle", "motorcycle"))
    ]
    peak = np.abs(_all(Scene(tuple(things), 0, 0), 2 * RATE).astype(int)).max()
    assert 3_000 < peak < FULL_SCALE


def test_ordinary_scenes_are_well_above_the_noise() -> None:
    for index in range(3):
        sound = _all(draw_scene(6, index), RATE).astype(float)
        assert (sound.std(1) > 8.0 * NOISE).all() and np.abs(sound).max() < FULL_SCALE


def test_the_ears_noises_are_independent_at_every_lag() -> None:
    """A hash that is only shifted by its seed would make one noise of all eight."""
    noise = _all(Scene((), 0, 77), 2**16).transpose(0, 2, 1).reshape(8, -1).astype(float)
    np.testing.assert_allclose(noise.std(1), NOISE, rtol=0.02)
    spectra = np.fft.rfft(noise / noise.std(1, keepdims=True))
    for a in range(8):
        for b in range(a, 8):
            correlation = np.fft.irfft(spectra[a] * np.conj(spectra[b])) / noise.shape[1]
            if a == b:
                correlation[0] = 0.0
            assert np.abs(correlation).max() < 7.0 / np.sqrt(noise.shape[1])


def test_sound_does_not_depend_on_what_is_silent() -> None:
    scene = draw_scene(5, 2)
    sounding = replace(scene, things=tuple(thing for thing in scene.things if thing.sounding))
    np.testing.assert_array_equal(_all(scene, 5_000), _all(sounding, 5_000))
