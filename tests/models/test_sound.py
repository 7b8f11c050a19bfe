"""The sound encoder has the earlier paper's shapes."""

import pytest
import torch

from models.sound import SoundEncoder, pool_over_time


def test_shapes_and_parameters_of_the_paper():
    """Table of network/deepv3_noBG: conv4 is 512 × 16 × 37, and conv1 to conv4 with BatchNorm hold 2,756,416 parameters."""
    encoder = SoundEncoder(1, width=64)
    assert sum(p.numel() for p in encoder.parameters()) == 2_756_416
    assert encoder(torch.randn(2, 1, 257, 601)).shape == (2, 512, 16, 37)
    assert encoder.out_channels == 512


@pytest.mark.parametrize("pool_time", [1, 4, 8, 16])
@pytest.mark.parametrize("ears", [2, 8])
def test_out_size_is_what_comes_out(ears, pool_time):
    encoder = SoundEncoder(ears, width=2, pool_time=pool_time)
    assert encoder(torch.randn(2, ears, 257, 601)).shape == (2, 16, *encoder.out_size(257, 601))


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


def test_pool_time_below_one_is_refused():
    with pytest.raises(ValueError, match="pool_time=0"):
        SoundEncoder(2, width=2, pool_time=0)
