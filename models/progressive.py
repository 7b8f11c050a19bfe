"""Progressive networks: a new column beside frozen ones, to which it may listen at every layer."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.encoder import Encoder
from models.sound import SoundEncoder, halving


class Lateral(nn.Module):
    """U σ(V α h): a learned scale, a 1 × 1 convolution down to `adapter` channels, and a convolution with the layer's stride."""

    def __init__(self, channels: int, out_channels: int, adapter: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.layers = nn.Sequential(nn.Conv2d(channels, adapter, 1), nn.LeakyReLU(0.2), halving(adapter, out_channels))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(self.scale * features)


class ProgressiveEncoder(Encoder):
    """Several columns of one architecture; all but the last are frozen, and the last gives the features.

    Layer i of column k is h_i^(k) = σ(BN(W_i^(k) h_{i−1}^(k) + Σ_{j<k} U_i^(k:j) σ(V_i^(k:j) α h_{i−1}^(j)))) (Rusu et al.,
    "Progressive Neural Networks", 2016, equation 2, with batch norm). Nothing lateral enters the first layer: its input is the same
    for all columns. Columns before the last listen to those before them, as they did when they learned.

    Args:
        columns: encoders of the same settings; the last is the one that learns.
        adapter: channels of each lateral connection.

    Raises:
        ValueError: no column, or columns of different settings.
    """

    def __init__(self, columns: Sequence[SoundEncoder], *, adapter: int = 16) -> None:
        super().__init__()
        if not columns or any(column.settings != columns[0].settings for column in columns):
            raise ValueError(f"columns={[c.settings for c in columns]} must be one or more encoders of the same settings")
        self.adapter = adapter
        self.columns = nn.ModuleList(columns)
        self.laterals = nn.ModuleList(_laterals(column, k, adapter) for k, column in enumerate(columns))
        self.out_channels = columns[-1].out_channels
        for part in (*self.columns[:-1], *self.laterals[:-1]):
            part.requires_grad_(False)
        self.train(self.training)

    @classmethod
    def beside(cls, old: "ProgressiveEncoder | SoundEncoder", new: SoundEncoder, *, adapter: int = 16) -> Self:
        """A network with one more column: what `old` has learned is kept and frozen, `new` is free to learn."""
        if isinstance(old, SoundEncoder):
            return cls([old, new], adapter=adapter)
        made = cls([*old._encoders, new], adapter=old.adapter)
        for mine, theirs in zip(made.laterals, old.laterals, strict=False):
            mine.load_state_dict(theirs.state_dict())
        return made

    @property
    def description(self) -> dict[str, Any]:
        return {"kind": "progressive", "columns": [column.description for column in self.columns], "adapter": self.adapter}

    def out_size(self, frequencies: int, columns: int) -> tuple[int, int]:
        return self._encoders[-1].out_size(frequencies, columns)

    @property
    def _encoders(self) -> list[SoundEncoder]:
        """The columns, by their type."""
        return [column for column in self.columns if isinstance(column, SoundEncoder)]

    def forward(self, sound: Tensor) -> Tensor:
        """Log power (B, channels, frequencies, columns) to the last column's features, as `SoundEncoder`'s."""
        first = self._encoders[0]
        inputs = [first.prepare(sound)] * len(self.columns)
        for i in range(len(first.layers)):
            inputs = [self._layer(k, i, inputs) for k in range(len(self.columns))]
        return inputs[-1]

    def _layer(self, k: int, i: int, inputs: list[Tensor]) -> Tensor:
        block = self._encoders[k].blocks[i]
        mixed = block.mix(inputs[k])
        for j in range(k if i else 0):
            mixed = mixed + self.laterals.get_submodule(f"{k}.{i - 1}.{j}")(inputs[j])
        return block.activate(mixed)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for column in self.columns[:-1]:  # batch norm keeps the statistics with which they were trained
            column.eval()
        return self


def _laterals(column: SoundEncoder, k: int, adapter: int) -> nn.ModuleList:
    """Of column k, for every layer but the first, one connection from each of the k columns before it."""
    later = column.blocks[1:]
    return nn.ModuleList(nn.ModuleList(Lateral(b.channels, b.out_channels, adapter) for _ in range(k)) for b in later)
