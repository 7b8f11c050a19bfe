"""Foreground alignment on motion (task B2 of the paper)."""

from torch import Tensor

from models.encoder import Encoder
from train.objectives.aligned import Aligned
from train.objectives.base import Batch, unturned
from train.recipe import Recipe

DEGREES = 5.0
"""Motion between the two frames is counted in this many degrees of azimuth: an object that passes by makes a few of them."""


class MotionAlignment(Aligned):
    """Equation 2 with the picture replaced by its motion: flow (u, v), the same for any size of picture."""

    FIELDS = ("flow", "sound", "partner_sound")

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__(recipe, encoder, channels=2)

    def seen(self, batch: Batch) -> Tensor:
        flow = batch["flow"]
        scale = 360.0 / flow.shape[-1] / DEGREES  # pixels of a picture that spans 360°
        return unturned(flow * scale, batch, self.classes)[:, :, None]
