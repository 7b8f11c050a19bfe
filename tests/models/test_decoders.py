"""The decoders of the evaluations: sizes, the circle of azimuth, the complex product."""

import pytest
import torch

from models.heads import Projection
from models.semantic import AtrousPyramid, SemanticDecoder, _padded
from models.superresolution import SpectrogramDecoder, masked


def test_class_maps_have_the_size_that_is_asked_for():
    decoder = SemanticDecoder(10, 4, size=(16, 32), width=4)
    logits = decoder(torch.randn(3, 10))
    assert logits.shape == (3, 4, 16, 32)
    logits.sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())
    with pytest.raises(ValueError, match="multiples of 8"):
        SemanticDecoder(10, 4, size=(12, 32))


def test_the_pyramid_goes_around():
    torch.manual_seed(0)
    pyramid = AtrousPyramid(3, 4, rates=(1, 2, 5)).double().eval()
    x = torch.randn(1, 3, 4, 8, dtype=torch.float64)
    assert torch.allclose(pyramid(x.roll(3, -1)), pyramid(x).roll(3, -1), atol=1e-12)


def test_a_map_narrower_than_its_padding_is_gone_around_more_than_once():
    x = torch.arange(3.0).view(1, 1, 1, 3)
    assert _padded(x, 4)[0, 0, 4].tolist() == [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert _padded(x, 1).shape == (1, 1, 3, 5)


@pytest.mark.parametrize(("time", "before"), [(True, (32, 48)), (False, (32, 3))])
def test_spectrograms_have_the_size_that_is_asked_for(time: bool, before: tuple[int, int]):
    decoder = SpectrogramDecoder(6, 4, depth=4, width=2, time=time)
    features = torch.randn(2, 6, 2, 3)
    assert decoder.layers(features).shape[2:] == before
    found = decoder(features, (33, 50))
    assert found.shape == (2, 4, 33, 50)
    found.sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())


def test_the_mask_is_a_complex_product():
    mask, spectrogram = torch.randn(2, 3, 2, 5, 7), torch.randn(2, 3, 2, 5, 7)
    expected = torch.complex(*mask.unbind(2)) * torch.complex(*spectrogram.unbind(2))
    assert torch.allclose(masked(mask, spectrogram), torch.stack([expected.real, expected.imag], 2), atol=1e-6)


@pytest.mark.parametrize("hidden", [None, 8])
def test_projections_lie_on_the_sphere(hidden: int | None):
    assert torch.allclose(Projection(5, 3, hidden=hidden)(torch.randn(4, 5)).norm(dim=1), torch.ones(4))
