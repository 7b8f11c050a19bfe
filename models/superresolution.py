"""From sound features back to something of the size of a spectrogram: for every ear a complex mask, or a spectrogram itself."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LARGEST = 2.0
"""Bound of a mask. Where two ears hear a source equally loud, the difference of their spectrograms is at most twice either of
them.
"""


class SpectrogramDecoder(nn.Module):
    """Transposed convolutions (kernel 4, stride 2, as the encoder's), each halving the channels down to `width`; then a
    1 × 1 convolution.

    The map is brought to the exact size at the end, bilinearly, which also undoes the encoder's pooling over time.

    Args:
        channels: of the features (B, channels, F', T').
        outputs: planes to give.
        depth: how often the map is doubled; the encoder's depth.
        width: channels before the last convolution.
        time: double the columns too, as in the paper. Without, the decoder is 2^depth times cheaper; a mask changes as slowly as
            directions do, over fractions of a second.
    """

    def __init__(self, channels: int, outputs: int, *, depth: int = 4, width: int = 32, time: bool = True) -> None:
        super().__init__()
        kernel, stride = ((4, 4), (2, 2)) if time else ((4, 3), (2, 1))
        widths = [channels] + [max(width, width * 2 ** (depth - 1 - i) // 2) for i in range(depth)]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.ConvTranspose2d(a, b, kernel, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b in pairwise(widths)
            )
        )
        self.last = nn.Conv2d(widths[-1], outputs, 1)

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, channels, F', T') to (B, outputs, *size)."""
        return F.interpolate(self.last(self.layers(features)), size=size, mode="bilinear", align_corners=False)


def masked(mask: Tensor, spectrogram: Tensor) -> Tensor:
    """The complex product; both (…, 2, F, T) with real and imaginary part: re = S_re M_re − S_im M_im, im = S_re M_im + S_im M_re
    ("2.5D Visual Sound", Gao and Grauman, CVPR 2019).
    """
    m_re, m_im = mask.unbind(-3)
    s_re, s_im = spectrogram.unbind(-3)
    return torch.stack([s_re * m_re - s_im * m_im, s_re * m_im + s_im * m_re], dim=-3)
