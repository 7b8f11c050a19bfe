"""What every encoder is: a module that says what it gives, and how to build it again."""

from typing import Any

from torch import nn


class Encoder(nn.Module):
    """From an input (B, …) to a feature map (B, out_channels, …).

    out_channels: of the map.
    """

    out_channels: int

    @property
    def description(self) -> dict[str, Any]:
        """What `models.encoders.build` makes an untrained one of the same shape from, as plain values."""
        raise NotImplementedError

    def out_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the map of an input of this size; of a spectrogram these are frequencies and columns."""
        raise NotImplementedError
