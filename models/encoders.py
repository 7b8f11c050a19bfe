"""Sound encoders made of others, and how any of them is built again from its description.

An encoder maps log power (B, channels, frequencies, columns) to features (B, out_channels, F', T'); it has `out_channels`,
`out_size(frequencies, columns)` and a `description`, plain values from which `build` makes an untrained one of the same shape.
"""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.progressive import ProgressiveEncoder
from models.sound import SoundEncoder


class ConcatenatedEncoder(nn.Module):
    """The features of several encoders side by side: (B, Σ out_channels, F', T').

    Raises:
        ValueError: no encoder, or maps of different sizes.
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        if not parts:
            raise ValueError("there is nothing to concatenate: give at least one encoder")
        self.parts = nn.ModuleList(parts)
        self.out_channels = sum(part.out_channels for part in parts)

    @property
    def description(self) -> dict[str, Any]:
        return {"kind": "concatenated", "parts": [part.description for part in self.parts]}

    def forward(self, sound: Tensor) -> Tensor:
        return torch.cat([part(sound) for part in self.parts], dim=1)

    def out_size(self, frequencies: int, columns: int) -> tuple[int, int]:
        """Height and width of the feature map of a spectrogram of this size.

        Raises:
            ValueError: the parts do not agree, so that their maps cannot lie side by side.
        """
        sizes = {part.out_size(frequencies, columns) for part in self.parts}
        if len(sizes) > 1:
            raise ValueError(f"the encoders give maps of different sizes, {sorted(sizes)}: they must agree in depth and pool_time")
        return sizes.pop()


class Frozen(nn.Module):
    """An encoder that no longer learns: no gradient, and batch norm with the statistics of its training, whatever `train()` says."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.out_channels, self.out_size = encoder.out_channels, encoder.out_size

    @property
    def description(self) -> dict[str, Any]:
        return self.encoder.description

    @torch.no_grad()
    def forward(self, sound: Tensor) -> Tensor:
        return self.encoder(sound)

    def train(self, mode: bool = True) -> Self:
        self.training = mode  # and nothing below it
        return self


def build(description: dict[str, Any]) -> nn.Module:
    """The untrained encoder of this description.

    Raises:
        ValueError: it describes none.
    """
    settings = dict(description)
    kind = settings.pop("kind", None)
    if kind == "sound":
        return SoundEncoder(**settings)
    if kind == "concatenated":
        return ConcatenatedEncoder([build(part) for part in settings["parts"]])
    if kind == "progressive":
        return ProgressiveEncoder([build(column) for column in settings["columns"]], adapter=settings["adapter"])
    raise ValueError(f"kind={kind!r} of an encoder is not known; allowed: sound, concatenated, progressive")
