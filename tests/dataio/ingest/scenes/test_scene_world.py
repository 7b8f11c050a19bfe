"""What is drawn: nothing of it depends on azimuth, and every limit that the sound's level relies on holds."""

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare, kstest

from dataio.ingest.scenes.motion import locate
from dataio.ingest.scenes.world import CLASSES, FARTHEST, LOUDEST, NEAREST, SOURCES, Thing, draw_scene

SCENES = [draw_scene(2026, index) for index in range(500)]
THINGS = [thing for scene in SCENES for thing in scene.things]
GROUPS = {
    "sounding": [thing for thing in THINGS if thing.sounding],
    "parked": [thing for thing in THINGS if not thing.moving],
    "strolling": [thing for thing in THINGS if thing.moving and not thing.sounding],
    **{name: [thing for thing in THINGS if thing.sounding and thing.kind == name] for name in CLASSES[1:]},
}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("seconds", [0.0, 7.3])
def test_azimuths_are_uniform(group: str, seconds: float) -> None:
    azimuths = [locate(thing.path.row(), seconds)[0] for thing in GROUPS[group]]
    counts, _ = np.histogram(azimuths, 12, (-180.0, 180.0))
    assert counts.sum() == len(azimuths)
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("group", ["sounding", "parked", "strolling"])
def test_both_directions_are_as_likely(group: str) -> None:
    assert binomtest(sum(thing.facing > 0 for thing in GROUPS[group]), len(GROUPS[group])).pvalue > 1e-3


def test_azimuths_of_one_scene_do_not_depend_on_each_other() -> None:
    gaps = [(s.things[0].path.azimuth - s.things[1].path.azimuth) % 360.0 / 360.0 for s in SCENES]
    assert kstest(gaps, "uniform").pvalue > 1e-3


def test_distance_and_speed_are_drawn_without_regard_to_azimuth() -> None:
    sounding = GROUPS["sounding"]
    around = np.radians([thing.path.azimuth for thing in sounding])
    for value in (
        [thing.path.distance for thing in sounding],
        [abs(thing.path.speed) for thing in sounding],
        [thing.loudness for thing in sounding],
    ):
        for wave in (np.sin(around), np.cos(around)):
            assert abs(np.corrcoef(value, wave)[0, 1]) < 4.0 / np.sqrt(len(sounding))


def test_every_scene_has_sounding_objects_of_different_classes_and_silent_ones() -> None:
    for scene in SCENES:
        sounding = [thing.class_id for thing in scene.things if thing.sounding]
        assert 2 <= len(sounding) <= SOURCES and len(set(sounding)) == len(sounding)
        assert any(not thing.moving for thing in scene.things)
        assert any(thing.moving and not thing.sounding for thing in scene.things)
        assert all(thing.facing == np.sign(thing.path.speed) for thing in scene.things if thing.moving)
        assert all(thing.moving for thing in scene.things if thing.sounding)
        assert all(thing.kind == CLASSES[thing.class_id] for thing in scene.things if thing.sounding)


def test_classes_are_as_frequent() -> None:
    assert chisquare([len(GROUPS[name]) for name in CLASSES[1:]]).pvalue > 1e-3


def _track(thing: Thing) -> np.ndarray:
    row = thing.path.row()
    return np.array([locate(row, t) for t in np.arange(0.0, 20.0, 0.25)])


def test_sounding_objects_keep_within_their_limits_and_always_move() -> None:
    for thing in GROUPS["sounding"]:
        track = _track(thing)
        assert track[:, 2].min() >= NEAREST and track[:, 2].max() <= FARTHEST
        assert thing.loudness <= LOUDEST
        assert np.abs(np.diff(track[:, 2])).max() / 0.25 < 2.5  # metres a second: acoustics.OVERSHOOT relies on it
        turns = (np.diff(track[:, 0]) + 180.0) % 360.0 - 180.0
        assert (turns * thing.facing).min() / 0.25 > 10.0  # degrees a second: 20 degrees in a clip of 2 s


def test_parked_things_stay() -> None:
    for thing in GROUPS["parked"]:
        assert np.ptp(_track(thing), axis=0).max() == 0.0


def test_a_scene_is_a_function_of_seed_and_number() -> None:
    assert draw_scene(3, 4) == draw_scene(3, 4)
    assert draw_scene(3, 4) != draw_scene(3, 5)
    assert draw_scene(3, 4) != draw_scene(4, 4)
    assert draw_scene(2**40, 0) != draw_scene(0, 0)
