"""The sound encoder has the earlier paper's shapes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sound import Block, SoundEncoder, pool_over_time


@pytest.mark.parametrize(("depth", "parameters", "size"), [(4, 2_756_416, (16, 37)), (5, 6_952_256, (8, 18))])
def test_shapes_and_parameters_of_the_paper(depth, parameters, size):
    """conv1 to conv4 (conv5) of the authors' code, one ear at a time: parameters with BatchNorm, and what becomes of 257 × 601."""
    encoder = SoundEncoder(1, width=64, depth=depth).eval()
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    assert encoder.out_channels == 512 and encoder.out_size(257, 601) == size
    with torch.no_grad():
        assert encoder(torch.zeros(1, 1, 257, 601)).shape == (1, 512, *size)


@pytest.mark.parametrize("pool_time", [1, 4, 8, 16])
@pytest.mark.parametrize("ears", [2, 8])
def test_out_size_is_what_comes_out(ears, pool_time):
    encoder = SoundEncoder(ears, width=2, pool_time=pool_time)
    assert encoder(torch.randn(2, ears, 257, 601)).shape == (2, 16, *encoder.out_size(257, 601))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 5), st.integers(1, 3))
def test_any_size_is_foretold_or_refused(frequencies, columns, depth, pool_time):
    encoder = SoundEncoder(1, width=1, depth=depth, pool_time=pool_time).eval()
    sound = torch.zeros(1, 1, frequencies, columns)
    if frequencies < 2**depth or columns < pool_time * 2**depth:
        with pytest.raises(ValueError, match=f"{frequencies}x{columns} is too small .* at least {2**depth}x{pool_time * 2**depth}"):
            encoder.out_size(frequencies, columns)
    else:
        assert encoder(sound).shape == (1, encoder.out_channels, *encoder.out_size(frequencies, columns))


def test_a_layer_is_its_two_halves():
    torch.manual_seed(0)
    layer, x = Block(2, 3).double().eval(), torch.randn(1, 2, 9, 8, dtype=torch.float64, requires_grad=True)
    assert torch.equal(layer.activate(layer.mix(x)), layer(x)) and layer(x).shape == (1, 3, 4, 4)
    assert torch.autograd.gradcheck(layer, x)


def test_pooling_over_time_averages_columns_and_leaves_out_what_is_over():
    sound = torch.arange(7.0).expand(1, 1, 4, 7)
    assert SoundEncoder(1, width=1, depth=1, pool_time=3).prepare(sound)[0, 0, 0].tolist() == [(1 + 6) / 4, (4 + 6) / 4]


def test_silence_and_loud_sound_enter_near_unit_scale():
    seen = []
    encoder = SoundEncoder(2, width=2)
    encoder.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    encoder(torch.cat([torch.full((1, 2, 257, 601), -11.5), torch.full((1, 2, 257, 601), 2.0)]))
    assert seen[0].abs().max() <= 2.0


def test_pooling_over_time_keeps_frequency_and_averages_the_rest():
    features = torch.randn(3, 4, 16, 9)
    pooled = pool_over_time(features)
    assert pooled.shape == (3, 64)
    torch.testing.assert_close(pooled.reshape(3, 4, 16), features.mean(-1))


def test_nothing_below_one_is_taken():
    with pytest.raises(ValueError, match="pool_time=0"):
        SoundEncoder(2, width=2, pool_time=0)
    with pytest.raises(ValueError, match="depth=0"):
        SoundEncoder(2, width=2, depth=0)
