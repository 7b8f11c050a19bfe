"""The decoder of spectrograms, and the mask's complex product."""

import pytest
import torch

from models.sound import SoundEncoder
from models.superresolution import LARGEST, SpectrogramDecoder, masked


@pytest.mark.parametrize(
    ("time", "depth", "before"), [(True, 4, (32, 48)), (False, 4, (32, 3)), (True, 5, (64, 96)), (False, 1, (4, 3))]
)
def test_spectrograms_have_the_size_that_is_asked_for(time: bool, depth: int, before: tuple[int, int]):
    decoder = SpectrogramDecoder(6, 4, depth=depth, width=2, time=time)
    features = torch.randn(2, 6, 2, 3)
    assert decoder.layers(features).shape[2:] == before
    found = decoder(features, (33, 50))
    assert found.shape == (2, 4, 33, 50)
    found.square().sum().backward()
    assert all(p.grad is not None for p in decoder.parameters())


def test_where_sizes_agree_nothing_is_resampled():
    decoder, features = SpectrogramDecoder(6, 4, depth=2, width=2).eval(), torch.randn(2, 6, 2, 3)
    torch.testing.assert_close(decoder(features, (8, 12)), decoder.last(decoder.layers(features)))


@pytest.mark.parametrize("depth", [4, 5])
def test_back_to_the_papers_spectrogram(depth: int):
    encoder = SoundEncoder(2, width=1, depth=depth)
    decoder = SpectrogramDecoder(encoder.out_channels, 4, depth=depth, width=2)
    with torch.no_grad():
        assert decoder(encoder(torch.zeros(2, 2, 257, 601)), (257, 601)).shape == (2, 4, 257, 601)


def test_channels_halve_down_to_the_width():
    decoder = SpectrogramDecoder(512, 4, depth=5, width=32)
    assert [decoder.get_submodule(f"layers.{layer}.0").out_channels for layer in range(5)] == [256, 128, 64, 32, 32]


def test_the_mask_is_a_complex_product():
    mask, spectrogram = torch.randn(2, 2, 3, 2, 5, 7, dtype=torch.float64)
    expected = torch.complex(*mask.unbind(2)) * torch.complex(*spectrogram.unbind(2))
    torch.testing.assert_close(masked(mask, spectrogram), torch.stack([expected.real, expected.imag], 2), rtol=1e-14, atol=1e-14)


def test_the_bound_of_a_mask_holds_every_difference_of_equally_loud_ears():
    """D = S − T with |T| = |S|: D / S lies within the bound, and comes as near to it as one likes."""
    phase = torch.linspace(0, 2 * torch.pi, 101, dtype=torch.float64)
    given, other = torch.polar(torch.ones_like(phase), phase), torch.polar(torch.ones_like(phase), 3 * phase + 1)
    needed = (given - other) / given
    assert LARGEST * 0.99 < needed.abs().max() <= LARGEST
    parts = torch.stack([needed.real, needed.imag])[None, :, :, None]
    found = masked(parts, torch.stack([given.real, given.imag])[None, :, :, None])
    torch.testing.assert_close(torch.complex(*found[0, :, :, 0]), given - other)


def test_gradients():
    torch.manual_seed(0)
    mask, spectrogram = torch.randn(2, 2, 2, 2, 2, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(masked, (mask, spectrogram))
    for time in (True, False):
        decoder = SpectrogramDecoder(2, 2, depth=2, width=2, time=time).double().eval()
        features = torch.randn(1, 2, 1, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x, decoder=decoder: decoder(x, (5, 7)), features)
