"""The blur against torchvision's, SciPy's and, as far as they agree, Pillow's, which MoCo's own code uses."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from torchvision.transforms.v2 import functional

from dataio.stream.images.blur import blur, kernel
from tests.dataio.stream.images.stills import photo


def blurred(planes: np.ndarray, sigma: float) -> np.ndarray:
    out = planes.astype(np.float32).copy()
    blur(out, kernel(sigma), np.full(out.shape[1:], np.nan, np.float32))
    return out


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.5, 1.0, 1.3, 1.7, 2.0])
def test_as_torchvision_with_a_kernel_of_a_tenth_of_the_picture(sigma):
    """23 pixels for 224, as SimCLR and torchvision's references take; what lies beyond four standard deviations is not missed."""
    planes = photo(64, 70).transpose(2, 0, 1).astype(np.float32)
    theirs = functional.gaussian_blur(torch.from_numpy(planes), 23, sigma).numpy()
    assert np.abs(blurred(planes, sigma) - theirs).max() < 0.02


@settings(deadline=None, max_examples=40)
@given(
    sigma=st.floats(0.05, 2.5),
    height=st.integers(12, 40),
    width=st.integers(12, 70),
    channels=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_as_scipy(sigma, height, width, channels, seed):
    planes = np.random.default_rng(seed).uniform(-2, 2, (channels, height, width)).astype(np.float32)
    radius = len(kernel(sigma)) - 1
    theirs = scipy.ndimage.gaussian_filter(planes, sigma, axes=(1, 2), mode="mirror", radius=radius)
    assert np.abs(blurred(planes, sigma) - theirs).max() < 1e-5


@pytest.mark.parametrize(("sigma", "mean"), [(0.5, 1.2), (1.0, 1.0), (2.0, 0.8)])
def test_near_pillow_away_from_the_edges(sigma, mean):
    """Pillow makes do with three boxes and rounds between them: about half a grey level on average."""
    picture = photo(128, 128, 5)
    theirs = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)), np.float32)
    difference = np.abs(blurred(picture.transpose(2, 0, 1), sigma).transpose(1, 2, 0) - theirs)[8:-8, 8:-8]
    assert difference.mean() < mean


def test_kernels_sum_to_one_and_tiny_ones_do_nothing():
    for sigma in np.geomspace(0.01, 30, 40):
        half = kernel(sigma)
        assert 2 * half[1:].sum() + half[0] == pytest.approx(1, abs=1e-6) and (np.diff(half) <= 0).all()
    planes = photo(20, 20).transpose(2, 0, 1)
    assert np.array_equal(blurred(planes, 0.02), planes)


def test_pictures_that_are_too_small_to_be_reflected():
    with pytest.raises(ValueError, match=r"a blur of radius 8 needs .* at least 9 pixels; they are \(8, 20\)"):
        blurred(np.zeros((1, 8, 20)), 2.0)
    assert np.isfinite(blurred(np.ones((1, 9, 9)), 2.0)).all()
