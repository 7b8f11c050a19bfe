"""torchvision's encoders on the sphere: no seam, no column that is special."""

import pytest
import torch
from torch import nn

from models.video_resnet import KINDS, Around, ResNetVideo


@pytest.mark.parametrize("kind", KINDS)
def test_turning_the_viewer_rolls_the_map(kind: str):
    torch.manual_seed(0)
    encoder = ResNetVideo(kind).eval().double()
    frames = torch.randn(1, 3, 2, 32, 4 * encoder.stride, dtype=torch.float64)
    with torch.no_grad():
        plain, turned = encoder(frames), encoder(frames.roll(encoder.stride, dims=-1))
    assert plain.shape == (1, encoder.out_channels, 4)
    assert plain.std(dim=-1).mean() > 1e-3  # a map that is the same everywhere would pass too
    assert torch.allclose(plain.roll(1, dims=-1), turned, atol=1e-9)


def test_a_single_convolution_wraps_its_last_axis_only():
    plain = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.ones_(plain.weight)
    around = Around(plain)
    picture = torch.zeros(1, 1, 4, 6)
    picture[..., 0, 0] = 1
    found = around(picture)[0, 0]
    assert found.shape == (4, 6)
    assert found[0].tolist() == [1, 1, 0, 0, 0, 1]  # to the left it comes out on the right
    assert found[3].tolist() == [0] * 6  # but not from top to bottom


def test_weights_are_torchvisions():
    parameters = sum(p.numel() for p in ResNetVideo("resnet50").parameters())
    assert parameters == 25_557_032 - 2048 * 1000 - 1000  # ResNet-50 without its classifier
    assert sum(p.numel() for p in ResNetVideo("r2plus1d").parameters()) == 31_505_325 - 512 * 400 - 400


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused(kind: str):
    encoder = ResNetVideo(kind)
    with pytest.raises(ValueError, match=f"frames 40 wide .* multiple of {encoder.stride}"):
        encoder(torch.zeros(1, 3, 2, 32, 40))
    with pytest.raises(ValueError, match="at least 2 frames"):
        encoder(torch.zeros(1, 3, 1, 32, 64))
    with pytest.raises(ValueError, match="kind='r3d' of a video encoder is not known; allowed: r2plus1d, resnet50"):
        ResNetVideo("r3d")


def test_a_still_clip_leaves_nothing():
    frames = torch.randn(1, 3, 1, 32, 64).expand(-1, -1, 3, -1, -1)
    encoder = ResNetVideo("r2plus1d").eval()
    with torch.no_grad():
        found = encoder(frames)
    assert torch.allclose(found, found.roll(1, dims=-1), atol=1e-5)
