"""What the two kinds of foreground alignment have in common: sound against aligned and misaligned pictures."""

import torch
from torch import Tensor, nn

from models.heads import Projection
from models.sound import pool_over_time
from models.video import VideoEncoder, azimuth_bins
from train.objectives.base import Batch, Metrics, Objective, picture_encoder, pooled_size
from train.objectives.contrast import first_row, gathered, info_nce
from train.recipe import Recipe


class Aligned(Objective):
    """InfoNCE between sound and what moves in the picture.

    Equation 2, anchored at each sound a_i: its positive v_p is the picture of the same clip, its negatives P_i are the pictures of the
    other clips of the batch, of all processes. Where `negatives` has `time`, the loss is the mean of that and of the same anchored
    at each picture, whose negatives are the other clips' sounds and one sound from another time of every recording, its own
    included: it has the same background and the same voices, and only what is where tells them apart. (The paper leaves open how
    negatives are drawn: this is a reconstruction.) Features keep the azimuth, so that direction counts.

    Args:
        channels: of the picture.
    """

    def __init__(self, recipe: Recipe, sound: nn.Module, *, channels: int) -> None:
        super().__init__(recipe, sound)
        task, model = recipe.objective, recipe.model
        self.temperature, self.time, self.classes = task.temperature, "time" in task.negatives, task.yaw_classes
        self.azimuths = model.azimuths
        self.picture: VideoEncoder = picture_encoder(recipe, channels=channels)
        hidden = 2 * model.embedding
        self.of_sound = Projection(pooled_size(sound, recipe), model.embedding, hidden=hidden)
        self.of_picture = Projection(self.picture.out_channels * model.azimuths, model.embedding, hidden=hidden)

    def seen(self, batch: Batch) -> Tensor:
        """The pictures of the batch: (B, channels, 1, H, W)."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and `accuracy`: how often the right picture is nearest to a sound, among all of the batch."""
        count, clip = len(batch["clip"]), batch["clip"]
        pictures = self.of_picture(azimuth_bins(self.picture(self.seen(batch)), self.azimuths).flatten(1))
        heard = torch.cat([batch["sound"], batch["partner_sound"]]) if self.time else batch["sound"]
        sounds, *others = self.of_sound(pool_over_time(self.sound(heard))).split(count)
        all_pictures, all_sounds, all_clips = gathered(pictures), gathered(sounds), gathered(clip)
        positive = torch.arange(count, device=clip.device) + first_row(count)
        same = clip[:, None] == all_clips
        loss = info_nce(sounds, all_pictures, positive, self.temperature, leave_out=same)
        if self.time:
            # a clip may be the partner of another, or its own where its recording has no other near by
            same_too = torch.cat([same, clip[:, None] == gathered(batch["partner"])], dim=1)
            candidates = torch.cat([all_sounds, gathered(others[0])])
            loss = (loss + info_nce(pictures, candidates, positive, self.temperature, leave_out=same_too)) / 2
        with torch.no_grad():
            accuracy = ((sounds @ all_pictures.T).argmax(1) == positive).float().mean()
        return loss, {"accuracy": accuracy}
