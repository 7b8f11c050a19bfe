"""Encoders made of others, frozen ones, and sizes that the paper gives."""

import pytest
import torch

from models.encoders import ConcatenatedEncoder, Frozen, build
from models.sound import SoundEncoder


def sound() -> torch.Tensor:
    return torch.randn(2, 2, 40, 32, generator=torch.Generator().manual_seed(1)) * 4 - 6


def test_side_by_side():
    one, two = SoundEncoder(2, width=2, depth=2).eval(), SoundEncoder(2, width=3, depth=2).eval()
    both = ConcatenatedEncoder([one, two]).eval()
    found = both(sound())
    assert both.out_channels == found.shape[1] == 4 + 6
    assert torch.equal(found[:, :4], one(sound())) and torch.equal(found[:, 4:], two(sound()))
    assert both.out_size(40, 32) == tuple(found.shape[2:])
    again = build(both.description).eval()
    again.load_state_dict(both.state_dict())
    assert torch.equal(again(sound()), found)


def test_maps_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="different sizes"):
        ConcatenatedEncoder([SoundEncoder(2, width=2, depth=2), SoundEncoder(2, width=2, depth=3)]).out_size(40, 32)
    with pytest.raises(ValueError, match="nothing to concatenate"):
        ConcatenatedEncoder([])
    with pytest.raises(ValueError, match="kind='video'"):
        build({"kind": "video"})


def test_frozen_does_not_learn_whatever_train_says():
    encoder = SoundEncoder(2, width=2, depth=2)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    frozen = torch.nn.ModuleDict({"f": Frozen(encoder)}).train()["f"]
    found = frozen(sound())
    assert not found.requires_grad and all(not p.requires_grad for p in frozen.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())  # nor batch norm's statistics


@pytest.mark.parametrize(("depth", "parameters", "size"), [(4, 2_756_416, (16, 37)), (5, 6_952_256, (8, 18))])
def test_the_papers_encoder(depth: int, parameters: int, size: tuple[int, int]):
    """conv1 to conv4 (conv5) of the authors' code, one ear at a time: parameters, and what becomes of 257 × 601."""
    encoder = SoundEncoder(1, width=64, depth=depth).eval()
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    assert encoder.out_channels == 512 and encoder.out_size(257, 601) == size
    with torch.no_grad():
        assert encoder(torch.zeros(1, 1, 257, 601)).shape == (1, 512, *size)
