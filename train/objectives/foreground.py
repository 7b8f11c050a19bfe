"""Foreground alignment on masked objects (task B1 of the paper)."""

import torch
from torch import Tensor, nn

from train.objectives.aligned import Aligned
from train.objectives.base import Batch, unturned
from train.recipe import Recipe


class ForegroundAlignment(Aligned):
    """Equation 2 with the picture reduced to its moving foreground: the middle frame times the mask, and the mask."""

    FIELDS = ("frames", "mask", "sound", "partner_sound")

    def __init__(self, recipe: Recipe, sound: nn.Module) -> None:
        super().__init__(recipe, sound, channels=4)

    def seen(self, batch: Batch) -> Tensor:
        frames, mask = batch["frames"], batch["mask"].to(batch["frames"].dtype) / 255
        masked = torch.cat([frames[:, :, frames.shape[2] // 2] * mask, mask], dim=1)  # the mask is of frame F/2
        return unturned(masked, batch, self.classes)[:, :, None]
