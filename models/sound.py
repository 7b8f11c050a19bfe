"""The sound encoder of the earlier paper: four or five strided convolutions over a spectrogram."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from models.encoder import Encoder

MOST = 8
"""The channels stop doubling at `width` times this: in the paper the fifth convolution has 512 channels, as the fourth has."""
MEAN, SPREAD = -6.0, 4.0
"""Rough centre and spread of natural log power when the amplitude has RMS 0.1 (silence is floored at ln 1e-5 = −11.5)."""


class SoundEncoder(Encoder):
    """Spectrograms of several ears to one feature map over frequency and time.

    Conv2d(kernel 4, stride 2, padding 1), BatchNorm, LeakyReLU(0.2), each doubling the channels: conv1 to conv4 (or conv5) of
    "Semantic Object Prediction and Spatial Sound Super-Resolution with Binaural Sounds" (ECCV 2020), where width = 64 gives
    64, 128, 256, 512 (, 512) channels and 257 × 601 shrinks to 16 × 37 (, 8 × 18). The paper runs one ear at a time; here all ears
    enter together, so that the first layer already sees the differences between them.

    Args:
        channels: ears times planes per ear that enter, e.g. 8 for four pairs of log power.
        width: channels after the first convolution.
        depth: convolutions; 4 or 5 in the paper.
        pool_time: average this many spectrogram columns first (1: none). Where a sound comes from changes slowly against a
            hop of 1.7 ms; on a CPU the first layer costs most, and pooling by 8 makes the whole encoder 8 times cheaper.

    Raises:
        ValueError: `pool_time` or `depth` is below 1.
    """

    def __init__(self, channels: int, *, width: int = 64, depth: int = 4, pool_time: int = 1) -> None:
        super().__init__()
        if pool_time < 1:
            raise ValueError(f"pool_time={pool_time} must be 1 (no pooling) or more")
        if depth < 1:
            raise ValueError(f"depth={depth} must be 1 or more")
        self.settings = {"channels": channels, "width": width, "depth": depth, "pool_time": pool_time}
        self.pool_time = pool_time
        widths = [channels] + [width * min(2**i, MOST) for i in range(depth)]
        self.layers = nn.Sequential(*(Block(a, b) for a, b in pairwise(widths)))
        self.out_channels = widths[-1]

    @property
    def description(self) -> dict[str, Any]:
        return {"kind": "sound", **self.settings}

    def forward(self, sound: Tensor) -> Tensor:
        """Natural log power (B, channels, frequencies, columns) to features (B, out_channels, F', T'), sizes by `out_size`."""
        return self.layers(self.prepare(sound))

    def prepare(self, sound: Tensor) -> Tensor:
        """What enters the first convolution: averaged over `pool_time` columns, roughly of mean 0 and spread 1."""
        if self.pool_time > 1:
            columns = sound.shape[-1] // self.pool_time
            sound = sound[..., : columns * self.pool_time].unflatten(-1, (columns, self.pool_time)).mean(dim=-1)
        return (sound - MEAN) / SPREAD

    def out_size(self, frequencies: int, columns: int) -> tuple[int, int]:
        """As `Encoder.out_size`: both are halved `depth` times, rounded down.

        Raises:
            ValueError: nothing would be left.
        """
        depth = len(self.layers)
        size = frequencies // 2**depth, columns // self.pool_time // 2**depth
        if not all(size):
            raise ValueError(
                f"a spectrogram of {frequencies}x{columns} is too small for depth={depth}, pool_time={self.pool_time}:"
                f" at least {2**depth}x{self.pool_time * 2**depth} is needed"
            )
        return size

    @property
    def blocks(self) -> list["Block"]:
        """The layers, by their type."""
        return [layer for layer in self.layers if isinstance(layer, Block)]


class Block(nn.Sequential):
    """One layer of the encoder: (B, channels, F, T) to (B, out_channels, F // 2, T // 2)."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(halving(channels, out_channels), nn.BatchNorm2d(out_channels), nn.LeakyReLU(0.2))
        self.channels, self.out_channels = channels, out_channels

    def mix(self, x: Tensor) -> Tensor:
        """The convolution alone."""
        return self[0](x)

    def activate(self, mixed: Tensor) -> Tensor:
        """What follows it: `block(x)` is `block.activate(block.mix(x))`."""
        return self[2](self[1](mixed))


def halving(channels: int, out_channels: int) -> nn.Conv2d:
    """The convolution that halves both axes, rounded down."""
    return nn.Conv2d(channels, out_channels, kernel_size=4, stride=2, padding=1)


def pool_over_time(features: Tensor) -> Tensor:
    """Mean over time of a feature map (B, C, frequencies, columns), flattened to (B, C · frequencies).

    Frequency is kept: how much the head shadows an ear depends on it, and so does what kind of thing sounds.
    """
    return torch.flatten(features.mean(dim=3), 1)
