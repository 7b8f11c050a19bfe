"""The decoder of class maps: sizes, and a sphere without a seam."""

import pytest
import torch
from torch.nn import functional as F

from models.semantic import AtrousPyramid, SemanticDecoder, _padded


def seen(module: torch.nn.Module, x: torch.Tensor) -> torch.nn.Module:
    """Batch norm statistics that are not the neutral ones, then evaluation mode."""
    with torch.no_grad():
        module(x)
    return module.eval()


@pytest.mark.parametrize("size", [(16, 32), (8, 8), (24, 40)])
def test_class_maps_have_the_size_that_is_asked_for(size: tuple[int, int]):
    decoder = SemanticDecoder(10, 4, size=size, width=4)
    logits = decoder(torch.randn(3, 10))
    assert logits.shape == (3, 4, *size)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())


@pytest.mark.parametrize("size", [(12, 32), (16, 33)])
def test_a_size_that_is_never_reached_is_refused(size: tuple[int, int]):
    with pytest.raises(ValueError, match="multiples of 8"):
        SemanticDecoder(10, 4, size=size)


@pytest.mark.parametrize("rates", [(1, 2, 4), (1, 5), (11,)])
def test_the_pyramid_goes_around(rates: tuple[int, ...]):
    """Also where a dilation is wider than the map."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 8, dtype=torch.float64)
    pyramid = seen(AtrousPyramid(3, 4, rates=rates).double(), x)
    plain = pyramid(x)
    for by in (1, 3):
        torch.testing.assert_close(pyramid(x.roll(by, -1)), plain.roll(by, -1), rtol=1e-12, atol=1e-12)
    if min(rates) < x.shape[2]:  # otherwise nothing but zeros is above and below
        assert not torch.allclose(pyramid(x.roll(1, -2)), plain.roll(1, -2))  # but not over the poles


def test_what_is_laid_out_turned_is_a_turned_class_map():
    """A cell of the coarse map is 8 columns of the class map."""
    torch.manual_seed(0)
    decoder = seen(SemanticDecoder(5, 3, size=(16, 48), width=4).double(), torch.randn(4, 5, dtype=torch.float64))
    x = torch.randn(2, 5, dtype=torch.float64)
    plain = decoder(x)
    with torch.no_grad():
        for p in (decoder.get_parameter("lay.weight"), decoder.get_parameter("lay.bias")):
            p.copy_(p.unflatten(0, (4, 2, 6)).roll(2, 2).flatten(0, 2))
    torch.testing.assert_close(decoder(x), plain.roll(16, -1), rtol=1e-12, atol=1e-12)
    assert plain.std(-1).min() > 0


def test_a_dilated_branch_is_torchs_own_convolution_over_a_tiled_map():
    torch.manual_seed(0)
    pyramid, x = AtrousPyramid(2, 3, rates=(2,)).double().eval(), torch.randn(1, 2, 5, 6, dtype=torch.float64)
    convolution = pyramid.get_submodule("dilated.0.0")
    expected = F.conv2d(torch.cat([x, x, x], -1), pyramid.get_parameter("dilated.0.0.weight"), padding=2, dilation=2)[..., 6:12]
    torch.testing.assert_close(convolution(_padded(x, 2)), expected)


def test_a_map_narrower_than_its_padding_is_gone_around_more_than_once():
    x = torch.arange(3.0).view(1, 1, 1, 3)
    assert _padded(x, 4)[0, 0, 4].tolist() == [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert _padded(x, 4)[0, 0, [0, 3, 5, 8]].count_nonzero() == 0
    assert _padded(x, 1).shape == (1, 1, 3, 5)


def test_gradients():
    torch.manual_seed(0)
    decoder = SemanticDecoder(3, 2, size=(8, 16), width=2).double().eval()
    assert torch.autograd.gradcheck(decoder, torch.randn(1, 3, dtype=torch.float64, requires_grad=True))
