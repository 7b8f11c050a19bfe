"""Spatial alignment (task A of the paper): by which yaw was the picture turned against the sound?"""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.alignment import ConcatHead, CorrelationHead
from models.encoder import Encoder
from models.sound import pool_over_time
from train.objectives.base import Batch, Metrics, Objective, pooled_size, video_encoder
from train.objectives.contrast import at_least_float32
from train.recipe import Recipe


class SpatialAlignment(Objective):
    """Both encoders and a head; cross entropy over the K yaw classes.

    L_CE = E_i [CE(h(v_iR, a_i), Δa)] (equation 1): v_iR are the features of the picture turned by R, a_i those of the sound, h
    the head and a softmax, Δa the class of R.
    """

    FIELDS = ("frames", "sound", "yaw")

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__(recipe, encoder)
        model, task = recipe.model, recipe.objective
        self.classes, self.mute = task.yaw_classes, task.mute
        self.video = video_encoder(recipe)
        heads = {"correlation": CorrelationHead, "concat": ConcatHead}
        self.head = heads[model.head](
            pooled_size(encoder, recipe),
            self.video.out_channels,
            classes=task.yaw_classes,
            azimuths=model.azimuths,
            channels=model.head_channels,
        )

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The mean loss of a batch, and `accuracy` (fraction of yaw classes told right), both 0-dimensional."""
        logits = at_least_float32(self.head(self.encode_video(batch["frames"]), self.encode_sound(batch["sound"])))
        loss = F.cross_entropy(logits, batch["yaw"])
        return loss, {"accuracy": (logits.detach().argmax(1) == batch["yaw"]).float().mean()}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, F, H, W) to a map over azimuth (B, C, W / 8)."""
        frames = at_least_float32(frames)  # a GPU's loader gives them in half precision, whatever that of the weights is
        return self.video(torch.zeros_like(frames) if self.mute == "video" else frames)

    def encode_sound(self, sound: Tensor) -> Tensor:
        """Log power (B, ears, 257, 601) to features (B, D)."""
        return pool_over_time(self.encoder(torch.zeros_like(sound) if self.mute == "sound" else sound))
