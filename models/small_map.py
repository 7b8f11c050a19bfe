"""Convolutions of maps of a few cells, on the CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELLS = 3
"""Most cells of a row of the map that comes out. oneDNN multiplies the weights with one such row at a time, so that, for rows of
two cells, the 9 MiB of a convolution of 512 channels are read again for every row of every picture. From four on it
gained less, or nothing, where it was tried by hand."""


class SmallMapConv2d(nn.Conv2d):
    """An `nn.Conv2d`, 3 × 3 with a margin of 1 and without bias, that is one matrix product where the map is small: that reads the
    weights once. Only in training: there the rounding differs a little from torch's, which in evaluation is kept to the bit. On a
    GPU it is what it was. Same parameters.
    """

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> "SmallMapConv2d":
        """This convolution, with its own parameters.

        Raises:
            ValueError: it is of another kind.
        """
        c = convolution
        plain = (
            c.groups == 1 and c.dilation == (1, 1) and c.bias is None and c.padding_mode == "zeros" and c.stride[0] == c.stride[1]
        )
        if c.kernel_size != (3, 3) or c.padding != (1, 1) or not plain:
            raise ValueError(f"{c} is not 3 × 3 with a margin of 1, equal strides, one group and no bias")
        made = cls(c.in_channels, c.out_channels, 3, stride=c.stride, padding=1, bias=False, device="meta")  # type: ignore[arg-type]
        made.weight = c.weight
        return made

    def forward(self, maps: Tensor) -> Tensor:
        stride = self.stride[0]
        height, width = (-(-side // stride) for side in maps.shape[2:])
        if not self.training or maps.device.type != "cpu" or width > CELLS:
            return super().forward(maps)
        padded = F.pad(maps.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        reach = stride * (height - 1) + 1, stride * (width - 1) + 1
        rows, columns = _taps(maps.shape[2], height), _taps(maps.shape[3], width)
        taps = [padded[:, i : i + reach[0] : stride, j : j + reach[1] : stride] for i in rows for j in columns]
        seen = torch.cat(taps, -1).reshape(-1, len(taps) * self.in_channels)
        weights = self.weight.permute(0, 2, 3, 1)[:, rows.start : rows.stop, columns.start : columns.stop]
        weights = weights.reshape(self.out_channels, -1)  # all nine without a copy where they lie channels-last
        return (seen @ weights.T).view(len(maps), height, width, self.out_channels).permute(0, 3, 1, 2)


def _taps(side: int, out: int) -> range:
    """Of the three along a side, those that ever see more than the margin; of a single cell the middle one alone."""
    return range(0 if out > 1 else 1, 3 if side > 1 else 2)
