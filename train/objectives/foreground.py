"""Foreground alignment on masked objects (task B1 of the paper)."""

import torch
from torch import Tensor

from models.encoder import Encoder
from train.objectives.aligned import Aligned
from train.objectives.base import Batch, unturned
from train.objectives.contrast import at_least_float32
from train.recipe import Recipe


class ForegroundAlignment(Aligned):
    """Equation 2 with the picture reduced to its moving foreground: the middle frame times the mask, and the mask."""

    FIELDS = ("frames", "mask", "sound", "partner_sound")

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__(recipe, encoder, channels=4)

    def seen(self, batch: Batch) -> Tensor:
        middle = at_least_float32(batch["frames"][:, :, batch["frames"].shape[2] // 2])  # the mask is of frame F/2
        mask = batch["mask"].to(middle.dtype) / 255
        masked = torch.cat([middle * mask, mask], dim=1)
        return unturned(masked, batch, self.classes)[:, :, None]
