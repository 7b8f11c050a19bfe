"""Encoders made of others, frozen ones, and any of them from its description."""

import json

import pytest
import torch

from models.encoder import Encoder
from models.encoders import ConcatenatedEncoder, Frozen, build
from models.image import ImageEncoder
from models.progressive import ProgressiveEncoder
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


def test_frozen_does_not_learn_whatever_train_says():
    encoder = SoundEncoder(2, width=2, depth=2)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    frozen = torch.nn.ModuleDict({"f": Frozen(encoder)}).train()["f"]
    found = frozen(sound())
    assert not found.requires_grad and all(not p.requires_grad for p in frozen.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())  # nor batch norm's statistics


def test_the_gradient_of_a_frozen_encoders_user_stops_there():
    head = torch.nn.Conv2d(4, 1, 1)
    frozen = Frozen(SoundEncoder(2, width=2, depth=2))
    heard = sound().requires_grad_()
    head(frozen(heard)).sum().backward()
    assert heard.grad is None and head.weight.grad is not None


def column() -> SoundEncoder:
    return SoundEncoder(2, width=2, depth=2, pool_time=2)


ENCODERS = {
    "sound": column,
    "progressive": lambda: ProgressiveEncoder.beside(ProgressiveEncoder.beside(column(), column(), adapter=3), column()),
    "nested": lambda: ConcatenatedEncoder([ConcatenatedEncoder([column()]), ProgressiveEncoder.beside(column(), column())]),
}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("kind", ENCODERS)
def test_built_again_from_plain_values(kind: str, frozen: bool):
    made: Encoder = ENCODERS[kind]().eval()
    description = (Frozen(made) if frozen else made).description
    again = build(json.loads(json.dumps(description))).eval()
    again.load_state_dict(made.state_dict())
    assert again.description == made.description
    assert torch.equal(again(sound()), made(sound()))
    assert made(sound()).shape == (2, made.out_channels, *made.out_size(40, 32))


def test_a_picture_encoder_is_built_again_too():
    encoder = build(ImageEncoder("resnet18").description)
    assert isinstance(encoder, ImageEncoder) and encoder.kind == "resnet18"


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"kind": "video"}, "kind='video' of an encoder is not known; allowed: sound, concatenated, progressive, image"),
        ({}, "kind=None"),
        ({"kind": "sound", "channels": 2, "wdith": 3}, "not the settings of an encoder of kind='sound'.*wdith"),
        ({"kind": "concatenated"}, "kind='concatenated'.*parts"),
        ({"kind": "concatenated", "parts": []}, "nothing to concatenate"),
        ({"kind": "progressive", "adapter": 4, "columns": [{"kind": "concatenated", "parts": [{"kind": "sound", "channels": 2}]}]},
         "columns of kinds .'concatenated'. must all be of kind 'sound'"),
    ],
)  # fmt: skip
def test_what_describes_no_encoder_is_refused(description: dict, said: str):
    with pytest.raises(ValueError, match=said):
        build(description)
