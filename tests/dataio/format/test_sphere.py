"""Columns and azimuths, whole-pixel yaw classes, and a resize that invents nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dataio.format import sphere

WIDTH = st.integers(1, 8192)
LENGTH = st.integers(1, 300)


@given(st.floats(-1000, 1000), WIDTH)
def test_an_azimuth_is_found_again_on_the_circle(degrees: float, width: int) -> None:
    back = sphere.azimuth(sphere.column(degrees, width), width)
    assert abs((back - degrees + 180) % 360 - 180) < 1e-6


@given(WIDTH, st.integers(0, 8191))
def test_a_column_is_found_again(width: int, x: int) -> None:
    assert sphere.column(sphere.azimuth(x % width, width), width) == pytest.approx(x % width, abs=1e-6)


def test_the_middle_is_the_front_and_the_right_half_lies_to_the_right() -> None:
    assert sphere.azimuth(255.5, 512) == 0.0
    assert sphere.azimuth(383.5, 512) == 90.0
    assert sphere.azimuth(-0.5, 512) == -180.0
    assert sphere.column(180.0, 512) == -0.5  # the two edges meet


@given(st.integers(1, 64), st.integers(1, 64))
def test_yaw_classes_turn_the_picture_once_around(classes: int, step: int) -> None:
    assert sphere.yaw_step(classes * step, classes) == step


@pytest.mark.parametrize(("width", "classes"), [(512, 3), (512, 0), (512, -4), (4, 8), (100, 8)])
def test_a_class_without_whole_columns_is_refused(width: int, classes: int) -> None:
    with pytest.raises(ValueError, match=f"yaw_classes={classes} does not divide the width {width}") as error:
        sphere.yaw_step(width, classes)
    offered = [int(k) for k in str(error.value).rpartition("[")[2].rstrip("]").split(",")]
    assert offered
    assert all(width % k == 0 for k in offered)


@given(LENGTH, LENGTH, st.booleans())
def test_weights_sum_to_one_and_stay_inside(n_in: int, n_out: int, wrap: bool) -> None:
    index, weight = sphere.resize_table(n_in, n_out, wrap)
    assert index.shape == weight.shape == (n_out, sphere.taps(n_in, n_out))
    assert (index.dtype, weight.dtype) == (np.int32, np.float32)
    assert index.min() >= 0
    assert index.max() < n_in
    assert weight.min() >= 0
    np.testing.assert_allclose(weight.sum(1), 1, atol=1e-6)


def test_an_unchanged_axis_is_untouched() -> None:
    index, weight = sphere.resize_table(17, 17, True)
    assert index.ravel().tolist() == list(range(17))
    assert (weight == 1).all()


@pytest.mark.parametrize(("n_in", "n_out"), [(64, 32), (64, 24), (100, 37), (24, 64), (37, 100), (5, 4), (4, 5), (300, 1)])
def test_an_axis_with_ends_equals_the_antialiased_resize_of_torch(n_in: int, n_out: int) -> None:
    row = np.random.default_rng(n_in).random(n_in)
    index, weight = sphere.resize_table(n_in, n_out, False)
    picture = torch.from_numpy(np.tile(row, (2, 1)))[None, None]
    theirs = torch.nn.functional.interpolate(picture, size=(2, n_out), mode="bilinear", antialias=True)
    np.testing.assert_allclose((row[index] * weight).sum(1), theirs[0, 0, 0].numpy(), atol=1e-6)


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 39))
def test_a_circle_has_no_seam(n_out: int, factor: int, turn: int) -> None:
    # turned by whole output pixels before the resize or after it: the same
    row = np.random.default_rng(n_out).random(n_out * factor)
    index, weight = sphere.resize_table(n_out * factor, n_out, True)
    before = (np.roll(row, turn * factor)[index] * weight).sum(1)
    np.testing.assert_allclose(before, np.roll((row[index] * weight).sum(1), turn), atol=1e-6)


@given(
    row=st.floats(0, 99),
    column=st.floats(-0.4, 199.4),
    pitch=st.floats(-90, 90),
    roll=st.floats(-90, 90),
    width=st.integers(1, 4000),
)
def test_a_place_carried_there_and_back_is_where_it_was(row, column, pitch, roll, width):
    matrix = sphere.rotation(pitch, roll)
    there = sphere.carried(row, column, 100, 200, *matrix.reshape(-1).tolist(), width, 2 * width)
    assert -0.5 <= there[0] <= width - 0.5 and -0.5 <= there[1] <= 2 * width - 0.5
    back = sphere.carried(*there, width, 2 * width, *matrix.T.reshape(-1).tolist(), 100, 200)
    assert back == pytest.approx((row, column), abs=1e-6)


@pytest.mark.parametrize(("pitch", "roll", "up"), [(0, 0, 0), (90, 0, 90), (-30, 40, -30)])
def test_the_middle_of_the_picture_looks_where_the_gaze_is_lifted(pitch, roll, up):
    row, _ = sphere.carried(49.5, 99.5, 100, 200, *sphere.rotation(pitch, roll).reshape(-1).tolist(), 180, 360)
    assert row == pytest.approx(89.5 - up)


def test_who_leans_to_the_right_has_the_ground_on_the_right():
    row, column = sphere.carried(49.5, 149.5, 100, 200, *sphere.rotation(0, 30).reshape(-1).tolist(), 180, 360)
    assert (row, column) == (pytest.approx(89.5 + 30), pytest.approx(269.5))


def test_a_row_beyond_the_pole_lies_on_the_other_half_of_its_meridian():
    level = sphere.rotation(0, 0).reshape(-1).tolist()
    assert sphere.carried(-3.5, 20, 100, 200, *level, 100, 200) == pytest.approx((2.5, 120))
    assert sphere.carried(102.5, 120, 100, 200, *level, 100, 200) == pytest.approx((96.5, 20))
