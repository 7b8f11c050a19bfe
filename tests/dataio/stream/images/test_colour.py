"""Every step of the jitter, alone and in any order, against torchvision's functions on float pictures."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional

from dataio.stream.images.colour import BRIGHTNESS, CONTRAST, HUE, SATURATION, colour
from tests.dataio.stream.images.stills import photo

NEAR = 2e-3  # grey levels
STEPS = {
    BRIGHTNESS: functional.adjust_brightness,
    CONTRAST: functional.adjust_contrast,
    SATURATION: functional.adjust_saturation,
    HUE: functional.adjust_hue,
}


def coloured(picture: np.ndarray, order, factors, grey: bool = False, mirror: bool = False) -> np.ndarray:
    """In grey levels: (3, H, W)."""
    out = np.full((3, *picture.shape[:2]), np.nan, np.float32)
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    colour(picture, np.array(order), np.array(factors, np.float32), grey, mirror, one, zero, out)
    return out


def torchvisions(picture: np.ndarray, order, factors, grey: bool = False, mirror: bool = False) -> np.ndarray:
    x = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
    for step in order:
        if (step == HUE and factors[step] != 0) or (step != HUE and factors[step] != 1):
            x = STEPS[step](x, float(np.float32(factors[step])))
    x = functional.rgb_to_grayscale(x, 3) if grey else x
    return (functional.hflip(x) if mirror else x).numpy() * 255


@pytest.mark.parametrize(
    ("step", "factor"),
    [(s, f) for s in (BRIGHTNESS, CONTRAST, SATURATION) for f in (0.0, 0.6, 1.0, 1.4, 2.0)]
    + [(HUE, f) for f in (-0.5, -0.1, -0.03, 0.1, 0.5)],
)
def test_each_step_alone(step, factor):
    factors = [1.0, 1.0, 1.0, 0.0]
    factors[step] = factor
    picture = photo(40, 53)
    assert np.abs(coloured(picture, range(4), factors) - torchvisions(picture, range(4), factors)).max() < NEAR


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_all_steps_in_every_order(order):
    """Strong enough that levels are clamped on the way, so that the order shows."""
    picture, factors = photo(30, 41, 3), [1.7, 1.9, 1.8, 0.2]
    made = coloured(picture, order, factors)
    assert np.abs(made - torchvisions(picture, order, factors)).max() < 0.05  # a hue near grey turns rounding into colour
    assert np.abs(made - torchvisions(picture, order, factors)).mean() < NEAR


def test_the_order_matters():
    picture, factors = photo(30, 41, 3), [1.4, 1.4, 1.4, 0.1]
    made = {order: coloured(picture, order, factors) for order in permutations(range(4))}
    assert np.abs(made[0, 1, 2, 3] - made[3, 2, 1, 0]).mean() > 0.3


def test_grey_and_mirror():
    picture = photo(33, 17, 1)
    nothing = (range(4), [1, 1, 1, 0])
    assert np.array_equal(coloured(picture, *nothing), picture.transpose(2, 0, 1))
    assert np.array_equal(coloured(picture, *nothing, mirror=True), picture.transpose(2, 0, 1)[:, :, ::-1])
    assert np.abs(coloured(picture, *nothing, grey=True) - torchvisions(picture, *nothing, grey=True)).max() < NEAR


def test_every_colour_turns_as_in_torchvision():
    """All combinations of 18 levels of each channel, greys, pure and black among them."""
    levels = np.arange(0, 256, 15, np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(len(levels), -1, 3)
    for factor in (-0.5, -1 / 3, -1 / 6, -0.1, 0.01, 0.25, 1 / 3, 0.5):
        factors = [1, 1, 1, factor]
        assert np.abs(coloured(cube, range(4), factors) - torchvisions(cube, range(4), factors)).max() < NEAR


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(1, 20), st.integers(1, 70)),
    order=st.permutations(range(4)),
    amounts=st.tuples(*[st.floats(-1, 1, width=32)] * 4),
    grey=st.booleans(),
    mirror=st.booleans(),
)
def test_any_jitter_of_mocos_strength(seed, size, order, amounts, grey, mirror):
    picture = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    factors = [1 + 0.4 * amounts[0], 1 + 0.4 * amounts[1], 1 + 0.4 * amounts[2], 0.1 * amounts[3]]
    difference = np.abs(coloured(picture, order, factors, grey, mirror) - torchvisions(picture, order, factors, grey, mirror))
    assert difference.max() < 0.05


def test_levels_are_scaled_and_wrong_arguments_named():
    picture, gain, bias = photo(5, 6), np.array([2, 3, 4], np.float32), np.array([1, 0, -1], np.float32)
    out = np.empty((3, 5, 6), np.float32)
    arguments = (np.arange(4), np.array([1, 1, 1, 0], np.float32), False, False, gain, bias)
    colour(picture, *arguments, out)
    assert np.array_equal(out, picture.transpose(2, 0, 1) * gain[:, None, None] + bias[:, None, None])
    with pytest.raises(ValueError, match=r"picture is float32 \(5, 6, 3\)"):
        colour(picture.astype(np.float32), *arguments, out)
    with pytest.raises(ValueError, match=r"picture is uint8 \(5, 3, 3\); expected contiguous"):
        colour(picture[:, ::2], *arguments, out)
    with pytest.raises(ValueError, match=r"out is float32 \(3, 6, 5\); expected contiguous float32 \(3, 5, 6\)"):
        colour(picture, *arguments, np.empty((3, 6, 5), np.float32))
