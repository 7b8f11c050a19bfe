"""Small pictures of clips, to be kept of every one."""

import torch
from torch import Tensor
from torch.nn import functional as F

from dataio.stream.kernels.rotate import MEAN, STD

MOST = (64, 128)
"""Height and width that a thumbnail does not exceed: 24 kB, so that those of ten thousand clips fit into memory."""


def thumbnails(frames: Tensor) -> Tensor:
    """Frame F/2 of normalised frames (B, 3, F, H, W), as the eye wants it: (B, h, w, 3) uint8."""
    middle = frames[:, :, frames.shape[2] // 2].float()
    mean, std = (torch.tensor(values, device=frames.device)[:, None, None] for values in (MEAN, STD))
    size = [min(most, side) for most, side in zip(MOST, middle.shape[2:], strict=True)]
    levels = F.interpolate(middle * std + mean, size, mode="area")
    return (levels * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()
