"""Spatial alignment (task A of the paper): by which yaw was the picture turned against the sound?"""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dataio import ClipSpec
from models.heads import ConcatHead, CorrelationHead
from models.sound import SoundEncoder, pool_over_time
from models.video import VideoEncoder
from train.recipe import Model, Recipe

FREQUENCIES, COLUMNS = 257, 601
"""Size of the spectrograms: window 512, hop 160, 96,000 samples."""


class SpatialAlignment(nn.Module):
    """Both encoders and a head; cross entropy over the K yaw classes (equation 1).

    Args:
        model: sizes.
        ears: sound channels.
        classes: yaw classes K.
        mute: the input that is replaced by zeros, `none` for neither.
    """

    FIELDS = ("frames", "sound", "yaw")
    """Batch fields that `forward` reads; `clip_spec` asks the loader for these and no others."""

    def __init__(self, model: Model, *, ears: int, classes: int, mute: str = "none") -> None:
        super().__init__()
        self.classes, self.mute = classes, mute
        self.sound = SoundEncoder(ears, width=model.sound_width, pool_time=model.sound_pool_time)
        self.video = VideoEncoder(width=model.video_width, subtract_mean=model.subtract_mean)
        heads = {"correlation": CorrelationHead, "concat": ConcatHead}
        self.head = heads[model.head](
            self.sound.out_channels * self.sound.out_size(FREQUENCIES, COLUMNS)[0],
            self.video.out_channels,
            classes=classes,
            azimuths=model.azimuths,
            channels=model.head_channels,
        )

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """The untrained objective of this recipe, with weights from torch's random state."""
        task = recipe.objective
        return cls(recipe.model, ears=2 * len(recipe.data.pairs), classes=task.yaw_classes, mute=task.mute)

    @staticmethod
    def clip_spec(recipe: Recipe, *, turned: bool = True, augment: bool = True) -> ClipSpec:
        """What the loader must deliver.

        Args:
            turned: frames turned by a random yaw class, and that class; otherwise as recorded, and no `yaw`.
            augment: as the recipe says; otherwise none.
        """
        data = recipe.data
        return ClipSpec(
            frames=data.frames,
            size=data.size,
            pairs=data.pairs,
            sound="log",
            sound_seconds=data.sound_seconds,
            yaw_classes=recipe.objective.yaw_classes if turned else None,
            augment=data.augment if augment else (),
        )

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of a batch, and `accuracy` (fraction of yaw classes told right), both 0-dimensional."""
        logits = self.head(self.encode_video(batch["frames"]), self.encode_sound(batch["sound"])).float()
        loss = F.cross_entropy(logits, batch["yaw"])
        return loss, {"accuracy": (logits.detach().argmax(1) == batch["yaw"]).float().mean()}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, F, H, W) to a map over azimuth (B, C, W / 8)."""
        return self.video(torch.zeros_like(frames) if self.mute == "video" else frames)

    def encode_sound(self, sound: Tensor) -> Tensor:
        """Log power (B, ears, 257, 601) to features (B, D)."""
        return pool_over_time(self.sound(torch.zeros_like(sound) if self.mute == "sound" else sound))
