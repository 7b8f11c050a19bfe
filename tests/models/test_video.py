"""The video encoder turns with its input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.video import STRIDE, CircularConv2d, VideoEncoder, azimuth_bins


def trained_looking(encoder: torch.nn.Module) -> torch.nn.Module:
    """BatchNorm statistics that are not the neutral ones, then evaluation mode."""
    with torch.no_grad():
        encoder(torch.randn(2, 3, 4, 32, 64))
    return encoder.eval()


@pytest.mark.parametrize(("frames", "height", "width"), [(4, 64, 128), (2, 32, 64), (8, 40, 80)])
def test_shape(frames, height, width):
    encoder = VideoEncoder(width=4)
    assert encoder(torch.randn(2, 3, frames, height, width)).shape == (2, 16, width // STRIDE)
    assert encoder.out_channels == 16


@settings(max_examples=15, deadline=None)
@given(bins=st.integers(-20, 20), seed=st.integers(0, 99), subtract=st.booleans())
def test_rolling_the_frames_rolls_the_map(bins, seed, subtract):
    torch.manual_seed(seed)
    encoder = trained_looking(VideoEncoder(width=4, subtract_mean=subtract))
    frames = torch.randn(1, 3, 3, 32, 64)
    with torch.no_grad():
        rolled = encoder(frames.roll(bins * STRIDE, dims=-1))
        torch.testing.assert_close(rolled, encoder(frames).roll(bins, dims=-1), rtol=1e-5, atol=1e-6)


def test_rolling_by_less_than_the_stride_is_not_equivariant():
    """Otherwise the test above would also pass for an encoder that sees nothing."""
    encoder = trained_looking(VideoEncoder(width=4))
    frames = torch.randn(1, 3, 3, 32, 64)
    with torch.no_grad():
        assert (encoder(frames.roll(3, dims=-1)) - encoder(frames)).abs().max() > 1e-2


def test_in_training_mode_a_turned_batch_gives_a_turned_map():
    torch.manual_seed(0)
    encoder, frames = VideoEncoder(width=4), torch.randn(3, 3, 2, 32, 64)
    torch.testing.assert_close(encoder(frames.roll(16, dims=-1)), encoder(frames).roll(2, dims=-1), rtol=1e-4, atol=1e-5)


def test_no_seam_at_the_edge():
    """A constant picture gives a map that is the same in every direction, the edges included."""
    encoder = trained_looking(VideoEncoder(width=4, subtract_mean=False))
    with torch.no_grad():
        features = encoder(torch.full((1, 3, 2, 32, 64), 0.7))
    torch.testing.assert_close(features, features[..., :1].expand_as(features), rtol=1e-5, atol=1e-6)


def test_what_stands_still_is_erased():
    encoder = trained_looking(VideoEncoder(width=4))
    moving = torch.randn(1, 3, 4, 32, 64)
    background = torch.randn(1, 3, 1, 32, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(moving + background), encoder(moving), rtol=1e-4, atol=1e-4)


def test_a_single_frame_cannot_lose_its_mean():
    with pytest.raises(ValueError, match="subtract_mean needs at least 2 frames"):
        VideoEncoder(width=4)(torch.randn(1, 3, 1, 32, 64))


def test_a_size_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="60x128 do not fit .* multiples of 8"):
        VideoEncoder(width=4)(torch.randn(1, 3, 2, 60, 128))


def test_circular_convolution_equals_one_over_a_tiled_picture():
    torch.manual_seed(0)
    layer, x = CircularConv2d(2, 3, kernel=8, stride=4), torch.randn(1, 2, 16, 32)
    tiled = torch.nn.functional.pad(torch.cat([x, x, x], dim=-1), (0, 0, 2, 2))
    expected = torch.nn.functional.conv2d(tiled[..., 30:], layer.conv.weight, stride=4)[..., :8]
    torch.testing.assert_close(layer(x), expected)


def test_bins_average_whole_sectors():
    features = torch.arange(8.0).reshape(1, 1, 8)
    assert azimuth_bins(features, 4).tolist() == [[[0.5, 2.5, 4.5, 6.5]]]
    with pytest.raises(ValueError, match="8 columns does not divide into 3"):
        azimuth_bins(features, 3)


def test_half_precision_frames_of_a_gpu_are_taken():
    encoder = VideoEncoder(width=2).eval()
    frames = torch.randn(1, 3, 2, 16, 32).half()
    with torch.no_grad():
        assert torch.equal(encoder(frames), encoder(frames.float()))
