"""What the two kinds of foreground alignment have in common: sound against aligned and misaligned pictures."""

import torch
from torch import Tensor

from models.encoder import Encoder
from models.heads import Projection
from models.sound import pool_over_time
from models.video import VideoEncoder, azimuth_bins
from train.objectives.base import Batch, Metrics, Objective, picture_encoder, pooled_size
from train.objectives.contrast import info_nce
from train.objectives.gather import first_row, gathered
from train.recipe import Recipe


class Aligned(Objective):
    """InfoNCE between sound and what moves in the picture.

    Equation 2, anchored at each sound a_i: its positive v_p is the picture of the same clip, its negatives P_i are the pictures of
    the other clips of the batch, of all processes. Where `negatives` has `time`, the loss is the mean of that and of the same
    anchored at each picture, whose negatives are the other clips' sounds and one sound from another time of every recording, its
    own included: it has the same background and the same voices, and only what is where tells them apart. (The paper leaves open
    how negatives are drawn: this is a reconstruction.) Features keep the azimuth, so that direction counts.

    Args:
        channels: of the picture.

    Raises:
        ValueError: `negatives` without `batch`: a sound has no picture of another time to be told from.
    """

    def __init__(self, recipe: Recipe, encoder: Encoder, *, channels: int) -> None:
        super().__init__(recipe, encoder)
        task, model = recipe.objective, recipe.model
        if "batch" not in task.negatives:
            raise ValueError(f"objective.negatives={list(task.negatives)} must hold 'batch'; 'time' comes in addition")
        self.temperature, self.time, self.classes = task.temperature, "time" in task.negatives, task.yaw_classes
        if not self.time:  # then the loader need not read them
            self.FIELDS = tuple(field for field in self.FIELDS if field != "partner_sound")  # type: ignore[misc]
        self.azimuths = model.azimuths
        self.picture: VideoEncoder = picture_encoder(recipe, channels=channels)
        hidden = 2 * model.embedding
        self.of_sound = Projection(pooled_size(encoder, recipe), model.embedding, hidden=hidden)
        self.of_picture = Projection(self.picture.out_channels * model.azimuths, model.embedding, hidden=hidden)

    def seen(self, batch: Batch) -> Tensor:
        """The pictures of the batch: (B, channels, 1, H, W)."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and `accuracy`: how often the right picture is nearest to a sound, among all of the batch."""
        pictures = self.of_picture(azimuth_bins(self.picture(self.seen(batch)), self.azimuths).flatten(1))
        heard = torch.cat([batch["sound"], batch["partner_sound"]]) if self.time else batch["sound"]
        sounds, *others = self.of_sound(pool_over_time(self.encoder(heard))).split(len(pictures))
        elsewhere = (others[0], batch["partner"]) if self.time else None
        return aligned_loss(pictures, sounds, batch["clip"], self.temperature, elsewhere)


def aligned_loss(
    pictures: Tensor, sounds: Tensor, clip: Tensor, temperature: float, elsewhere: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Metrics]:
    """The loss of `Aligned` from its features on, and `accuracy`; candidates are those of all processes.

    A clip that is there twice, as what fills up a last batch is, is no negative of itself, nor is a sound from another time that
    comes from the anchor's own clip: as the partner of another clip, or of itself where its recording has no other near by.

    Args:
        pictures, sounds: (B, D) features; row i of both is of clip i.
        clip: (B,) ids.
        elsewhere: features (B, D) of sounds from another time of each recording, and (B,) ids of the clips that they are from.
    """
    all_pictures, all_sounds, all_clips = gathered(pictures), gathered(sounds), gathered(clip)
    positive = torch.arange(len(clip), device=clip.device) + first_row(len(clip))
    same = clip[:, None] == all_clips
    loss = info_nce(sounds, all_pictures, positive, temperature, leave_out=same)
    if elsewhere is not None:
        others, partner = elsewhere
        same_too = torch.cat([same, clip[:, None] == gathered(partner)], dim=1)
        back = info_nce(pictures, torch.cat([all_sounds, gathered(others)]), positive, temperature, leave_out=same_too)
        loss = (loss + back) / 2
    with torch.no_grad():
        nearest = (sounds @ all_pictures.T).argmax(1)
        accuracy = (clip == all_clips[nearest]).float().mean()
    return loss, {"accuracy": accuracy}
