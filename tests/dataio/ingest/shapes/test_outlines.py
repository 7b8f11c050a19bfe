"""Shapes and textures by themselves: areas, edges, mirror images, and what a blur leaves of them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.ingest.shapes.shapes import AREA, RADIUS, inside
from dataio.ingest.shapes.textures import TEXTURES, first

CORNERS = {"cross": 12, "square": 4, "star": 10, "triangle": 3}


def _grid(side: float, points: int) -> tuple[np.ndarray, np.ndarray]:
    line = (np.arange(points) + 0.5) / points * side - side / 2
    return np.broadcast_arrays(line[None, :], line[:, None])


@pytest.mark.parametrize("shape", RADIUS)
def test_every_shape_has_the_same_area_within_its_radius(shape: str) -> None:
    x, y = _grid(2.0, 1000)
    within = inside(shape, x, y) > 0.0
    assert within.mean() * 4.0 == pytest.approx(AREA, rel=0.005)
    assert np.hypot(x, y)[within].max() == pytest.approx(RADIUS[shape], abs=0.005)
    # the middle of its area is where the object is
    assert abs(x[within].mean()) < 0.003 and abs(y[within].mean()) < 0.003


@pytest.mark.parametrize("shape", RADIUS)
def test_shapes_differ_by_outline_and_not_by_a_turn(shape: str) -> None:
    """Turned anyhow, another shape of the same area leaves a tenth of it uncovered (a disc nearly that of a square)."""
    x, y = _grid(2.0, 200)
    own = inside(shape, x, y) > 0.0
    for other in set(RADIUS) - {shape}:
        for angle in np.linspace(0.0, 2.0 * math.pi, 72, endpoint=False):
            u, v = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
            apart = (own & ~(inside(other, u, v) > 0.0)).sum() / own.sum()
            assert apart > (0.08 if {shape, other} == {"disc", "square"} else 0.1)


@settings(max_examples=200, deadline=None)
@given(
    shape=st.sampled_from(list(RADIUS)),
    x=st.floats(-1.0, 1.0),
    y=st.floats(-1.0, 1.0),
    dx=st.floats(-0.1, 0.1),
    dy=st.floats(-0.1, 0.1),
)
def test_a_distance_to_an_edge_never_exceeds_the_way_there(shape: str, x: float, y: float, dx: float, dy: float) -> None:
    one, other = inside(shape, np.array([x, x + dx]), np.array([y, y + dy]))
    assert abs(one - other) <= math.hypot(dx, dy) * (1.0 + 1e-9) + 1e-12


@pytest.mark.parametrize("shape", CORNERS)
def test_shapes_have_their_corners(shape: str) -> None:
    """Along the outline, the direction of the edge changes as often as the shape has corners."""
    angles = np.linspace(0.0, 2.0 * math.pi, 3600, endpoint=False) + 1e-4
    radii = np.linspace(0.0, 1.0, 4001)
    within = inside(shape, radii[:, None] * np.cos(angles), radii[:, None] * np.sin(angles)) > 0.0
    edge = radii[within.argmin(0)]
    x, y = edge * np.cos(angles), edge * np.sin(angles)
    step = 12
    heading = np.arctan2(np.roll(y, -step) - y, np.roll(x, -step) - x)
    turn = np.abs((np.roll(heading, -step) - heading + math.pi) % (2.0 * math.pi) - math.pi)
    turning = turn > 0.45
    assert np.count_nonzero(turning & ~np.roll(turning, 1)) == CORNERS[shape]


def _mirrored(values: np.ndarray) -> np.ndarray:
    return values[:, ::-1]


@pytest.mark.parametrize("shape", RADIUS)
def test_a_shape_is_its_own_mirror_image(shape: str) -> None:
    x, y = _grid(2.0, 200)
    distance = inside(shape, x, y)
    np.testing.assert_allclose(_mirrored(distance), distance, atol=1e-12)


@pytest.mark.parametrize("texture", TEXTURES)
def test_a_texture_repeats_and_is_its_own_mirror_image(texture: str) -> None:
    u, v = _grid(4.0, 400)
    distance = first(texture, u, v)
    np.testing.assert_allclose(_mirrored(distance), distance, atol=1e-9)
    period = math.sqrt(2.0) if texture == "checks" else 1.0
    np.testing.assert_allclose(first(texture, u + period, v), distance, atol=1e-9)
    np.testing.assert_allclose(first(texture, u, v + period), distance, atol=1e-9)


@pytest.mark.parametrize("texture", TEXTURES)
def test_a_texture_distance_is_lipschitz(texture: str) -> None:
    u, v = _grid(4.0, 400)
    distance = first(texture, u, v)
    if texture == "plain":
        assert np.isposinf(distance).all()
        return
    for axis in (0, 1):
        assert np.abs(np.diff(distance, axis=axis)).max() <= 0.01 * (1.0 + 1e-9)


def test_what_a_blur_leaves_of_the_textures() -> None:
    """A quarter of a period (2 pixels of 8) of blur leaves contrast to each, and each its own waves.

    Stripes run one way; checks run two ways, dots two ways as well, and a lattice of dots also along its diagonals.
    """
    u, v = _grid(8.0, 256)
    waves = np.fft.fftfreq(256, 8.0 / 256)
    lowpass = np.exp(-2.0 * (math.pi * np.hypot(waves[:, None], waves[None, :]) * 0.25) ** 2)
    left = {t: np.fft.ifft2(np.fft.fft2((first(t, u, v) > 0.0).astype(float)) * lowpass).real for t in TEXTURES}
    contrast = {texture: values.std() for texture, values in left.items()}
    assert contrast.pop("plain") < 1e-9 and min(contrast.values()) > 0.1
    strengths = {t: np.sort(np.abs(np.fft.fft2(left[t] - left[t].mean())).ravel())[::-1] for t in contrast}
    # each wave counts twice, once for either sign of its direction
    assert strengths["stripes"][2] < 0.2 * strengths["stripes"][0]
    for texture in ("checks", "dots"):
        assert strengths[texture][3] > 0.8 * strengths[texture][0]
    skew = {t: abs(float(np.mean((left[t] - left[t].mean()) ** 3))) / left[t].std() ** 3 for t in ("checks", "dots")}
    assert skew["checks"] < 0.05 < 0.3 < skew["dots"]
