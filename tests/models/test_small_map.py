"""The convolution of small maps against torch's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.image import ImageEncoder
from models.small_map import CELLS, SmallMapConv2d


@settings(deadline=None, max_examples=60)
@given(
    batch=st.integers(0, 5),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    stride=st.integers(1, 3),
    last=st.booleans(),
)
def test_it_is_the_convolution_with_its_gradients(batch, height, width, channels, stride, last):
    torch.manual_seed(height * 10 + width)
    plain = nn.Conv2d(*channels, 3, stride=stride, padding=1, bias=False).double()
    small = SmallMapConv2d.of(plain)
    assert small.weight is plain.weight
    if last:
        plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    maps = torch.randn(batch, channels[0], height, width, dtype=torch.float64, requires_grad=True)
    expected, found = plain(maps), small(maps)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    direction = torch.randn_like(expected)
    for a, b in zip(*(torch.autograd.grad(y, (maps, plain.weight), direction) for y in (expected, found)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def test_small_maps_are_one_product_and_others_are_not(monkeypatch):
    asked = []
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, maps: asked.append(maps.shape[3]))
    layer = SmallMapConv2d.of(nn.Conv2d(2, 2, 3, padding=1, bias=False))
    for width in range(1, 8):
        layer(torch.zeros(1, 2, 2, width))
    assert asked == list(range(CELLS + 1, 8))


@pytest.mark.parametrize(
    "other",
    [nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False)],
)
def test_other_convolutions_are_refused(other):
    with pytest.raises(ValueError, match="is not 3 × 3"):
        SmallMapConv2d.of(other)


@pytest.mark.parametrize("kind", ["resnet18", "resnet50"])
@pytest.mark.parametrize("training", [True, False])
def test_an_encoder_is_torchvisions(kind, training):
    """Same names, same numbers, and for views of 64 pixels the same map; in evaluation to the bit."""
    from torchvision import models

    encoder = ImageEncoder(kind)
    theirs = getattr(models, kind)(weights=None)
    theirs.fc = nn.Identity()
    theirs.load_state_dict(encoder.trunk.state_dict())
    encoder.train(training)
    theirs.train(training)
    torch.manual_seed(0)
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        map_ = theirs.conv1(pictures)
        for part in ("bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            map_ = getattr(theirs, part)(map_)
        assert (encoder(pictures) - map_).norm() <= 1e-4 * map_.norm() * training
