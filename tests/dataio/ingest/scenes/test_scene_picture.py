"""Objects are drawn where they are, across the seam too; the background looks the same everywhere."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.format.sphere import column
from dataio.ingest.scenes.background import background
from dataio.ingest.scenes.looks import LOOKS
from dataio.ingest.scenes.motion import Path, locate
from dataio.ingest.scenes.picture import Camera
from dataio.ingest.scenes.world import CLASSES, LENGTH_HEIGHT, Scene, Thing, draw_scene

SIZE = (128, 256)


def _alone(kind: str, path: Path, facing: int = 1) -> Scene:
    length, height = LENGTH_HEIGHT[kind]
    return Scene((Thing(kind, CLASSES.index(kind), path, length, height, facing, 1.0, (0.0, 0.0, 0.0), 0, 1.0),), 1, 0)


def _middle(mask: np.ndarray, near: float) -> float:
    """Middle of the mask's columns, in columns from `near`, counted round the circle."""
    width = mask.shape[1]
    columns = (np.flatnonzero(mask.any(0)) - near + width / 2) % width - width / 2
    return float(columns.min() + columns.max()) / 2


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(CLASSES[1:]),
    azimuth=st.one_of(st.floats(-180.0, 180.0), st.sampled_from([-180.0, 179.99, 178.0, 0.0, 90.0])),
    distance=st.floats(3.5, 12.0),
    speed=st.sampled_from([-30.0, 30.0]),
    seconds=st.floats(0.0, 10.0),
)
def test_an_object_is_drawn_at_its_azimuth(kind: str, azimuth: float, distance: float, speed: float, seconds: float) -> None:
    path = Path(azimuth, speed, distance, -0.5)
    _, classes = Camera(_alone(kind, path, int(np.sign(speed))), SIZE).shoot(seconds)
    assert set(np.unique(classes)) == {0, CLASSES.index(kind)}
    there, elevation, _ = locate(path.row(), seconds)
    assert abs(_middle(classes > 0, column(there, SIZE[1]))) <= 1.0
    rows = np.flatnonzero((classes > 0).any(1))
    assert (rows.min() + rows.max()) / 2 == pytest.approx((0.5 - elevation / 180.0) * SIZE[0] - 0.5, abs=2.0)


@pytest.mark.parametrize("kind", CLASSES[1:])
def test_apparent_size_follows_distance(kind: str) -> None:
    near, far = (np.count_nonzero(Camera(_alone(kind, Path(0.0, 0.0, d, -0.5)), (256, 512)).shoot(0.0)[1]) for d in (5.0, 10.0))
    assert 3.0 < near / far < 4.6


def test_what_is_near_hides_what_is_far(thing: Callable[..., Thing]) -> None:
    car, tram = thing("car", Path(30.0, 0.0, 4.0, -0.5)), thing("tram", Path(30.0, 0.0, 9.0, -0.5))
    one = Camera(Scene((car, tram), 1, 0), SIZE).shoot(0.0)
    other = Camera(Scene((tram, car), 1, 0), SIZE).shoot(0.0)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.count_nonzero(one[1] == 1) == np.count_nonzero(Camera(Scene((car,), 1, 0), SIZE).shoot(0.0)[1])
    silent = replace(car, class_id=0)
    hidden = Camera(Scene((silent, tram), 1, 0), SIZE).shoot(0.0)[1]
    np.testing.assert_array_equal(hidden, np.where(one[1] == 1, 0, one[1]))


@pytest.mark.parametrize("index", range(4))
def test_a_turned_scene_is_the_picture_rolled(index: int, turned: Callable) -> None:
    scene = draw_scene(8, index)
    camera, other = Camera(scene, SIZE), Camera(turned(scene, 90.0), SIZE)
    other.background = np.roll(camera.background, SIZE[1] // 4, 1)
    for seconds in (0.0, 1.3):
        for a, b in zip(camera.shoot(seconds), other.shoot(seconds), strict=True):
            assert np.mean(np.roll(a, SIZE[1] // 4, 1) != b) < 1e-4


@pytest.mark.parametrize("index", range(4))
def test_a_mirrored_scene_is_the_picture_flipped(index: int, mirrored: Callable) -> None:
    scene = draw_scene(9, index)
    camera, other = Camera(scene, SIZE), Camera(mirrored(scene), SIZE)
    other.background = camera.background[:, ::-1].copy()
    for a, b in zip(camera.shoot(0.7), other.shoot(0.7), strict=True):
        assert np.mean(a[:, ::-1] != b) < 1e-4


@pytest.mark.parametrize("kind", LOOKS)
def test_every_look_reaches_from_end_to_end(kind: str) -> None:
    parts = LOOKS[kind]
    assert min(part.u - part.half_u for part in parts) == pytest.approx(-1.0, abs=0.01)
    assert max(part.u + part.half_u for part in parts) == pytest.approx(1.0, abs=0.01)
    assert max(abs(part.v) + part.half_v for part in parts) <= 1.01


def test_classes_differ_in_colour(thing: Callable[..., Thing]) -> None:
    colours = []
    for kind in CLASSES[1:]:
        frame, classes = Camera(Scene((thing(kind, Path(0.0, 0.0, 5.0, -0.5)),), 1, 0), SIZE).shoot(0.0)
        colours.append(frame[classes > 0].mean(0))
    for i in range(3):
        assert np.abs(colours[i] - colours[i - 1]).max() > 40.0


def test_the_background_has_no_seam_and_no_heading() -> None:
    pictures = np.array([background((64, 128), seed) for seed in range(150)], np.float64)
    steps = np.abs(np.roll(pictures, -1, 2) - pictures).mean((0, 1, 3))  # from each column to the next, the last to the first
    assert np.abs(steps / steps.mean() - 1.0).max() < 0.1
    columns = pictures.mean((1, 3))  # (picture, column)
    columns -= columns.mean(1, keepdims=True)
    assert np.abs(columns.mean(0)).max() < 4.5 * columns.std() / np.sqrt(len(columns))
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_the_background_is_mid_grey_with_contrast() -> None:
    picture = background(SIZE, 4).astype(float)
    assert 70.0 < picture.mean() < 180.0 and 12.0 < picture.mean(-1).std() < 30.0
