"""Encoders made of others, and how any encoder is built again from its description.

A sound encoder maps log power (B, channels, frequencies, columns) to features (B, out_channels, F', T'); it has `out_channels`,
`out_size(frequencies, columns)` and a `description`, plain values from which `build` makes an untrained one of the same shape.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.encoder import Encoder
from models.image import ImageEncoder
from models.progressive import ProgressiveEncoder
from models.sound import SoundEncoder


class ConcatenatedEncoder(Encoder):
    """The features of several encoders side by side: (B, Σ out_channels, F', T').

    Raises:
        ValueError: no encoder, or maps of different sizes.
    """

    def __init__(self, parts: Sequence[Encoder]) -> None:
        super().__init__()
        if not parts:
            raise ValueError("there is nothing to concatenate: give at least one encoder")
        self.parts = nn.ModuleList(parts)
        self.out_channels = sum(part.out_channels for part in parts)

    @property
    def description(self) -> dict[str, Any]:
        return {"kind": "concatenated", "parts": [part.description for part in self._encoders]}

    @property
    def _encoders(self) -> list[Encoder]:
        """The parts, by their type."""
        return [part for part in self.parts if isinstance(part, Encoder)]

    def forward(self, sound: Tensor) -> Tensor:
        return torch.cat([part(sound) for part in self.parts], dim=1)

    def out_size(self, frequencies: int, columns: int) -> tuple[int, int]:
        """As `Encoder.out_size`.

        Raises:
            ValueError: the parts do not agree, so that their maps cannot lie side by side.
        """
        sizes = {part.out_size(frequencies, columns) for part in self._encoders}
        if len(sizes) > 1:
            raise ValueError(f"the encoders give maps of different sizes, {sorted(sizes)}: they must agree in depth and pool_time")
        return sizes.pop()


class Frozen(Encoder):
    """An encoder that no longer learns: no gradient, and batch norm with its statistics of before, whatever `train()` says.

    It is the encoder that was given, not a copy: that one does not learn any more either. The description
    is the given one's, and so are the weights to save (`encoder`).
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.out_channels = encoder.out_channels

    @property
    def description(self) -> dict[str, Any]:
        return self.encoder.description

    def out_size(self, frequencies: int, columns: int) -> tuple[int, int]:
        return self.encoder.out_size(frequencies, columns)

    @torch.no_grad()
    def forward(self, sound: Tensor) -> Tensor:
        return self.encoder(sound)

    def train(self, mode: bool = True) -> Self:
        self.training = mode  # and nothing below it
        return self


def build(description: dict[str, Any]) -> Encoder:
    """The untrained encoder of this description.

    Raises:
        ValueError: its kind is not known, a setting is missing or not known, or its parts do not fit.
    """
    settings = dict(description)
    kind = settings.pop("kind", None)
    if kind not in _BUILD:
        raise ValueError(f"kind={kind!r} of an encoder is not known; allowed: {', '.join(_BUILD)}")
    try:
        return _BUILD[kind](**settings)
    except TypeError as error:
        raise ValueError(f"{sorted(settings)} are not the settings of an encoder of kind={kind!r}: {error}") from error


def _concatenated(*, parts: Sequence[dict[str, Any]]) -> Encoder:
    return ConcatenatedEncoder([build(part) for part in parts])


def _progressive(*, columns: Sequence[dict[str, Any]], adapter: int) -> Encoder:
    built = [build(column) for column in columns]
    sound = [column for column in built if isinstance(column, SoundEncoder)]
    if len(sound) < len(built):
        raise ValueError(f"columns of kinds {[column.get('kind') for column in columns]} must all be of kind 'sound'")
    return ProgressiveEncoder(sound, adapter=adapter)


def _image(*, name: str) -> Encoder:
    return ImageEncoder(name)


_BUILD: dict[str, Callable[..., Encoder]] = {
    "sound": SoundEncoder,
    "concatenated": _concatenated,
    "progressive": _progressive,
    "image": _image,
}
