"""Pitch and roll against SciPy, trigonometry, and the path that only turns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from dataio.format import sphere
from dataio.stream.kernels import maps, rotate, tilt, tilt_maps
from dataio.stream.kernels.tilt import Turn

MEAN, STD = np.array(rotate.MEAN), np.array(rotate.STD)
ANGLE = st.floats(-90, 90)
SOME = settings(deadline=None, max_examples=40)


def run(picture: np.ndarray, turn: Turn, size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) in grey levels."""
    plan, out = rotate.plan(picture.shape[:2], size), np.full((3, 1, *size), np.nan, np.float32)
    tilt.rotate_one(picture, 0, tilt.places(plan.stored, size, turn), plan, out)
    return (out[:, 0].transpose(1, 2, 0) * STD + MEAN) * 255


def turned(picture: np.ndarray, shift: int, mirror: bool) -> np.ndarray:
    size = picture.shape[:2]
    out = np.empty((3, 1, *size), np.float32)
    rotate.rotate(picture[None], shift, mirror, rotate.plan(size, size), out)
    return (out[:, 0].transpose(1, 2, 0) * STD + MEAN) * 255


def smooth(height: int, width: int) -> np.ndarray:
    """A picture without a seam and with calm poles: low harmonics of the direction."""
    front, left, up = directions(height, width)
    return np.rint(np.stack([128 + 90 * front * up, 128 + 60 * left + 50 * up, 128 + 100 * left * front], -1)).astype(np.uint8)


def directions(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    around = ((np.arange(width) + 0.5) / width - 0.5)[None, :] * 2 * np.pi
    up = (0.5 - (np.arange(height) + 0.5) / height)[:, None] * np.pi
    return np.cos(up) * np.cos(around), -np.cos(up) * np.sin(around), np.sin(up) + 0 * around


def rotation_of(pitch: float, roll: float) -> Rotation:
    """Right-handed (front, left, up): leaning to the right turns left towards up, lifting turns front towards up."""
    return Rotation.from_rotvec([0, -np.radians(pitch), 0]) * Rotation.from_rotvec([np.radians(roll), 0, 0])


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 37, 127, -3])
def test_yaw_alone_is_the_shift(shift: int, mirror: bool) -> None:
    """To a thousandth of a level."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    assert np.abs(run(picture, Turn(shift, mirror, 0, 0), (64, 128)) - turned(picture, shift, mirror)).max() < 1e-3


def test_yaw_alone_is_the_shift_at_four_thousand_columns() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (4, 3840, 3), np.uint8)
    assert np.abs(run(picture, Turn(1234, False, 0, 0), (4, 3840)) - turned(picture, 1234, False)).max() < 1e-3


@SOME
@given(pitch=ANGLE, roll=ANGLE)
def test_the_matrix_is_scipys(pitch: float, roll: float) -> None:
    assert np.allclose(sphere.rotation(pitch, roll), rotation_of(pitch, roll).as_matrix(), atol=1e-12)


@SOME
@given(
    pitch=ANGLE, roll=ANGLE, shift=st.integers(0, 63), mirror=st.booleans(), size=st.sampled_from([(32, 64), (24, 48), (40, 96)])
)
def test_every_pixel_is_what_scipy_makes_of_it(pitch: float, roll: float, shift: int, mirror: bool, size: tuple[int, int]) -> None:
    """Random pixels, padded by a pixel round the seam and over the poles, looked up by map_coordinates."""
    shift = shift * size[1] // 64
    picture = np.random.default_rng(1).integers(0, 256, (32, 64, 3), np.uint8)
    world = rotation_of(pitch, roll).apply(np.stack(directions(*size), -1).reshape(-1, 3)).reshape(*size, 3)
    rows = (0.5 - np.arcsin(np.clip(world[..., 2], -1, 1)) / np.pi) * 32 - 0.5
    columns = ((np.arctan2(-world[..., 1], world[..., 0]) / (2 * np.pi) + 0.5) * 64 - 0.5 + shift * 64 / size[1]) % 64
    padded = np.concatenate([np.roll(picture[:1], 32, 1), picture, np.roll(picture[-1:], 32, 1)]).astype(float)
    padded = np.concatenate([padded, padded[:, :1]], 1)
    expected = np.stack([map_coordinates(padded[..., c], [rows + 1, columns], order=1, mode="nearest") for c in range(3)], -1)
    got = run(picture, Turn(shift, mirror, pitch, roll), size)
    # where arcsin is steep, it loses half the digits; and a pixel at the seam may take either side of it
    assert np.abs(got - (expected[:, ::-1] if mirror else expected)).max() < 0.01


@pytest.mark.parametrize(("pitch", "roll"), [(20, 0), (0, 35), (-50, 10), (90, 0), (0, 90)])
def test_there_and_back_is_a_smooth_picture(pitch: float, roll: float) -> None:
    """Looking through the inverse: roll cannot come before pitch in one turn, so it is undone in two."""
    picture = smooth(128, 256)
    once = np.rint(run(picture, Turn(0, False, pitch, roll), (128, 256))).astype(np.uint8)
    level = np.rint(run(once, Turn(0, False, 0, -roll), (128, 256))).astype(np.uint8)
    assert np.abs(run(level, Turn(0, False, -pitch, 0), (128, 256)) - picture).max() < 2.5


@SOME
@given(pitch=st.floats(-60, 60), roll=st.floats(-60, 60))
def test_no_seam_and_no_pole_is_seen(pitch: float, roll: float) -> None:
    """What a smooth scene looks like tilted is known in closed form, everywhere."""
    world = rotation_of(pitch, roll).apply(np.stack(directions(64, 128), -1).reshape(-1, 3)).reshape(64, 128, 3)
    front, left, up = np.moveaxis(world, -1, 0)
    expected = np.stack([128 + 90 * front * up, 128 + 60 * left + 50 * up, 128 + 100 * left * front], -1)
    assert np.abs(run(smooth(64, 128), Turn(0, False, pitch, roll), (64, 128)) - expected).max() < 1.5


@pytest.mark.parametrize(("pitch", "roll"), [(10, 0), (-25, 0), (0, 20), (15, -30)])
def test_the_horizon_ends_where_trigonometry_says(pitch: float, roll: float) -> None:
    """White sky over black ground. In the direction a the viewer finds the horizon at the elevation whose tangent is
    −(tan p · cos a + sin r · (−sin a) / cos p) / cos r, from m · d having no height.
    """
    size = 360, 720
    picture = np.zeros((*size, 3), np.uint8)
    picture[:180] = 255
    got = run(picture, Turn(0, False, pitch, roll), size)[..., 0] / 255
    p, r = np.radians(pitch), np.radians(roll)
    a = np.radians([sphere.azimuth(x, 720) for x in range(720)])
    elevation = np.degrees(np.arctan(-(np.tan(p) * np.cos(a) - np.sin(r) * np.sin(a)) / np.cos(r)))
    assert np.abs(got.sum(0) - (180 - elevation * 2)).max() < 1
    if roll == 0:  # who looks up sees the horizon in front lower down
        assert np.argmin(got[:, 360] > 0.5) == 180 + 2 * pitch


@pytest.mark.parametrize("size", [(32, 64), (16, 32), (50, 100)])
def test_a_smooth_scene_keeps_its_levels_at_every_size(size: tuple[int, int]) -> None:
    picture = smooth(96, 192)
    world = rotation_of(30, 20).apply(np.stack(directions(*size), -1).reshape(-1, 3)).reshape(*size, 3)
    front, left, up = np.moveaxis(world, -1, 0)
    expected = np.stack([128 + 90 * front * up, 128 + 60 * left + 50 * up, 128 + 100 * left * front], -1)
    assert np.abs(run(picture, Turn(0, False, 30, 20), size) - expected).max() < 3.5


def test_shrinking_averages_so_that_noise_dies_down() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (128, 256, 3), np.uint8)
    assert tilt.samples((128, 256), (32, 64)) == (3, 3) and tilt.samples((64, 128), (64, 128)) == (1, 1)
    assert tilt.samples((1920, 3840), (64, 64)) == (4, 4)
    assert run(noise, Turn(0, False, 20, 10), (32, 64)).std() < noise.std() / 3


@SOME
@given(pitch=ANGLE, roll=ANGLE, shift=st.integers(0, 47), mirror=st.booleans())
def test_labels_lie_where_the_frames_do_and_no_new_ones_arise(pitch: float, roll: float, shift: int, mirror: bool) -> None:
    """Large areas of one level: away from their edges a frame shows the level of the label."""
    labels = np.repeat(np.repeat(np.random.default_rng(3).choice(np.array([0, 90, 255], np.uint8), (4, 8)), 8, 0), 8, 1)
    out, turn = np.full((24, 48), 7, np.uint8), Turn(shift, mirror, pitch, roll)
    tilt_maps.turn_labels(labels, turn, out)
    shown = run(np.repeat(labels[..., None], 3, 2), turn, (24, 48))[..., 0]
    assert set(np.unique(out)) <= set(np.unique(labels))
    pure = np.isin(np.rint(shown), (0, 90, 255)) & (np.abs(shown - np.rint(shown)) < 1e-3)
    assert np.array_equal(out[pure], np.rint(shown[pure])) and pure.mean() > 0.3


@pytest.mark.parametrize(("shift", "mirror"), [(0, False), (11, True)])
def test_without_tilt_maps_are_turned_as_ever(shift: int, mirror: bool) -> None:
    rng = np.random.default_rng(4)
    labels, valid = rng.integers(0, 256, (16, 32), np.uint8), rng.random((16, 32)) < 0.7
    flow = np.where(valid[..., None], rng.normal(0, 3, (16, 32, 2)), np.nan).astype(np.float32)
    flow[..., 1] = np.clip(flow[..., 1], -1.5, 1.5)
    flow[[0, 1, -2, -1], :, 1] *= 0.0  # so that none leads over a pole
    got, expected = np.empty((16, 32), np.uint8), np.empty((16, 32), np.uint8)
    moved, wanted = np.empty((2, 16, 32), np.float32), np.empty((2, 16, 32), np.float32)
    tilt_maps.turn_labels(labels, Turn(shift, mirror, 0, 0), got)
    maps.turn_labels(labels, shift, mirror, expected)
    tilt_maps.turn_flow(flow, valid, Turn(shift, mirror, 0, 0), moved)
    maps.turn_flow(flow, valid, shift, mirror, wanted)
    assert np.array_equal(got, expected) and np.abs(moved - wanted).max() < 1e-4


@SOME
@given(
    azimuth=st.floats(-180, 179), height=st.floats(-50, 50), u=st.integers(-12, 12), v=st.integers(-6, 6),
    pitch=st.floats(-30, 30), roll=st.floats(-30, 30), shift=st.integers(0, 127), mirror=st.booleans(),
)  # fmt: skip
def test_flow_leads_to_where_a_dot_goes(
    azimuth: float, height: float, u: int, v: int, pitch: float, roll: float, shift: int, mirror: bool
) -> None:
    """A dot is drawn twice, and found twice in the tilted frames by its centre of gravity on the sphere."""
    size, turn = (64, 128), Turn(shift, mirror, pitch, roll)
    row, column = round((0.5 - height / 180) * 64 - 0.5), round(sphere.column(azimuth, 128)) % 128
    front, left, up = directions(*size)
    frames = []
    for y, x in ((row, column), ((row + v), (column + u) % 128)):
        near = front * front[y, x] + left * left[y, x] + up * up[y, x]
        frames.append(np.repeat((255 * np.exp((near - 1) / 0.004)).astype(np.uint8)[..., None], 3, 2))
    (y0, x0), (y1, x1) = (_centre(run(frame, turn, size)[..., 0], front, left, up) for frame in frames)
    moved = np.empty((2, *size), np.float32)
    tilt_maps.turn_flow(np.full((*size, 2), (u, v), np.float32), np.ones(size, bool), turn, moved)
    got = moved[:, round(y0) % 64, round(x0) % 128]
    if max(abs(y0 - 31.5), abs(y1 - 31.5)) > 26:  # close to a pole a pixel off is another direction
        return
    lead = (x1 - x0 + 64) % 128 - 64
    assert np.allclose(got, (lead, y1 - y0), atol=0.6 + 0.06 * (abs(u) + abs(v)))


def _centre(light: np.ndarray, front: np.ndarray, left: np.ndarray, up: np.ndarray) -> tuple[float, float]:
    light = np.where(light > 0.1 * light.max(), light, 0) * np.sqrt(1 - up**2)
    x, y, z = ((light * axis).sum() for axis in (front, left, up))
    return (0.5 - np.arctan2(z, np.hypot(x, y)) / np.pi) * 64 - 0.5, (np.arctan2(-y, x) / (2 * np.pi) + 0.5) * 128 - 0.5


def test_wrong_shapes_are_named() -> None:
    plan, picture = rotate.plan((8, 16), (8, 16)), np.zeros((8, 16, 3), np.uint8)
    where, out = tilt.places((8, 16), (8, 16), Turn(0, False, 1, 1)), np.zeros((3, 1, 8, 16), np.float32)
    with pytest.raises(ValueError, match=r"picture is .*expected uint8 \(8, 16, 3\)"):
        tilt.rotate_one(picture[:4], 0, where, plan, out)
    with pytest.raises(ValueError, match=r"out is float64 .*expected float32"):
        tilt.rotate_one(picture, 0, where, plan, out.astype(float))
    with pytest.raises(ValueError, match="f=1: out holds frames 0 to 0"):
        tilt.rotate_one(picture, 1, where, plan, out)
    with pytest.raises(ValueError, match=r"labels are .*; expected uint8 \(h, w\)"):
        tilt_maps.turn_labels(picture, Turn(0, False, 1, 1), np.zeros((8, 16), np.uint8))
    with pytest.raises(ValueError, match=r"flow is .*; expected float32 \(h, w, 2\)"):
        tilt_maps.turn_flow(picture, np.ones((8, 16), bool), Turn(0, False, 1, 1), np.zeros((2, 8, 16), np.float32))
