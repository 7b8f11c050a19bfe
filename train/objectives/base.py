"""What every task has in common: an encoder that it trains, and the batch fields it needs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor, nn

from models.encoder import Encoder
from models.video import VideoEncoder
from train.modality import SOUND, Modality, sound_grid
from train.recipe import Recipe

if TYPE_CHECKING:
    from models.video_resnet import ResNetVideo

Batch = dict[str, Tensor]
Metrics = dict[str, Tensor]


class Objective(nn.Module):
    """A task: a module from a batch to a loss, and to metrics for people, all of them 0-dimensional.

    FIELDS: batch fields that `forward` reads; the loader makes these and no others (see `train.fields`).
    MODALITY: what the encoder is fed with.
    encoder: the encoder that the task trains, from that to a feature map.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ()
    MODALITY: ClassVar[Modality] = SOUND
    encoder: Encoder

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    @classmethod
    def from_recipe(cls, recipe: Recipe, encoder: Encoder | None = None) -> Self:
        """The untrained task of this recipe, with weights from torch's random state.

        Args:
            encoder: the one to train further; None: a new one.
        """
        return cls(recipe, encoder or cls.MODALITY.untrained(recipe))

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        raise NotImplementedError


Make = Callable[[], Objective]


def pooled_size(encoder: Encoder, recipe: Recipe) -> int:
    """Numbers that `models.sound.pool_over_time` leaves of the encoder's features."""
    return encoder.out_channels * encoder.out_size(*sound_grid(recipe))[0]


def picture_encoder(recipe: Recipe, *, channels: int) -> VideoEncoder:
    """An untrained encoder of single pictures (B, channels, 1, H, W) that are no photographs, such as motion."""
    return VideoEncoder(channels, width=recipe.model.video_width, subtract_mean=False)


def video_encoder(recipe: Recipe) -> "VideoEncoder | ResNetVideo":
    """An untrained encoder of frames (B, 3, F, H, W) to a map over azimuth, as the recipe has it."""
    model = recipe.model
    if model.video == "azimuth":
        return VideoEncoder(3, width=model.video_width, subtract_mean=model.subtract_mean)
    from models.video_resnet import ResNetVideo  # torchvision takes a while to import

    return ResNetVideo(model.video, subtract_mean=model.subtract_mean)


def unturned(picture: Tensor, batch: Batch, classes: int) -> Tensor:
    """The picture (B, …, W) as it was recorded, if the loader turned it: column x of it shows column x − W·yaw/K of what was
    turned.
    """
    if "yaw" not in batch:
        return picture
    width = picture.shape[-1]
    columns = torch.arange(width, device=picture.device) - batch["yaw"][:, None] * (width // classes)
    index = (columns % width).view(len(picture), *[1] * (picture.ndim - 2), width)
    return picture.gather(-1, index.expand_as(picture))
