"""From sound features to a map of classes over the sphere."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.circular import around

RATES = (1, 2, 4)
"""Dilations of the pyramid's 3 × 3 convolutions, in cells of the coarse map."""


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al., DeepLabv3): a 1 × 1 convolution, dilated 3 × 3 ones, and the mean of the whole
    map, side by side; then a 1 × 1 convolution. It wraps around in azimuth. (B, channels, h, w) to (B, out_channels, h, w).
    """

    def __init__(self, channels: int, out_channels: int, *, rates: Sequence[int] = RATES) -> None:
        super().__init__()
        self.rates = tuple(rates)
        self.one = _unit(channels, out_channels, 1)
        self.dilated = nn.ModuleList(_unit(channels, out_channels, 3, dilation=rate) for rate in self.rates)
        self.whole = nn.Sequential(nn.Conv2d(channels, out_channels, 1), nn.ReLU())
        self.mix = _unit((2 + len(self.rates)) * out_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.one(x), *(unit(_padded(x, rate)) for unit, rate in zip(self.dilated, self.rates, strict=True))]
        whole = self.whole(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.mix(torch.cat([*branches, whole], dim=1))


class SemanticDecoder(nn.Module):
    """Pooled sound features (B, features) to logits (B, classes, height, width) over elevation and azimuth.

    A linear layer lays the features out over a coarse map of the sphere; the pyramid, and convolutions on maps twice as large each
    time, refine it. (The authors' code resizes the map over frequency and time to that of the picture, whose axes mean something
    else; where things sound from any direction, a network of convolutions alone cannot learn that.)

    Args:
        features: size of the input.
        classes: of the output, background included.
        size: (height, width); each 8 times a whole number.
        width: channels.

    Raises:
        ValueError: the size is no multiple of 8.
    """

    def __init__(self, features: int, classes: int, *, size: tuple[int, int], width: int = 32) -> None:
        super().__init__()
        if size[0] % 8 or size[1] % 8:
            raise ValueError(f"size={size} of the class map: height and width must be multiples of 8")
        self.coarse = size[0] // 8, size[1] // 8
        self.lay = nn.Linear(features, width * self.coarse[0] * self.coarse[1])
        self.pyramid = AtrousPyramid(width, width)
        self.refine = nn.ModuleList(_unit(width, width, 3) for _ in range(3))
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        x = self.pyramid(self.lay(features).unflatten(1, (-1, *self.coarse)))
        for unit in self.refine:
            x = unit(_padded(F.interpolate(x, scale_factor=2), 1))
        return self.classify(x)


def _unit(channels: int, out_channels: int, kernel: int, *, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out_channels, kernel, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


def _padded(x: Tensor, by: int) -> Tensor:
    """Continued around the sphere in azimuth, by zeros above and below."""
    return F.pad(around(x, by, by), (0, 0, by, by))
