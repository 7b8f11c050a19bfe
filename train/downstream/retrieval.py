"""Video retrieval (VR): which of all held-out clips does this sound belong to?"""

from typing import Any

import torch
from torch import Tensor, nn

from models.heads import Projection
from models.video import azimuth_bins
from train.downstream.base import Downstream
from train.objectives.base import Batch, Metrics, video_encoder
from train.objectives.contrast import first_row, gathered, info_nce
from train.recipe import Recipe


class VideoRetrieval(Downstream):
    """Equation 2 both ways between the frozen sound features and a video encoder that learns; ranked by cosine similarity."""

    FIELDS = ("sound", "frames")
    MERIT = "recall_at_10"

    def __init__(self, recipe: Recipe, sound: nn.Module) -> None:
        super().__init__(recipe, sound)
        model = recipe.model
        self.temperature, self.azimuths = recipe.downstream.temperature, model.azimuths
        self.video = video_encoder(recipe)
        hidden = 2 * model.embedding
        self.of_sound = Projection(self.pooled, model.embedding, hidden=None)  # linear: what counts is what the features hold
        self.of_video = Projection(self.video.out_channels * model.azimuths, model.embedding, hidden=hidden)

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and `accuracy`: how often the right video is the nearest of the batch."""
        sounds, videos = self.embed(batch)
        all_sounds, all_videos, clip = gathered(sounds), gathered(videos), batch["clip"]
        positive = torch.arange(len(clip), device=clip.device) + first_row(len(clip))
        same = clip[:, None] == gathered(clip)
        there = info_nce(sounds, all_videos, positive, self.temperature, leave_out=same)
        back = info_nce(videos, all_sounds, positive, self.temperature, leave_out=same)
        with torch.no_grad():
            accuracy = ((sounds @ all_videos.T).argmax(1) == positive).float().mean()
        return (there + back) / 2, {"accuracy": accuracy}

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sounds and videos on one unit sphere: (B, D) each."""
        video = azimuth_bins(self.video(batch["frames"]), self.azimuths).flatten(1)
        return self.of_sound(self.pooled_features(batch["sound"])), self.of_video(video)

    def note(self, batch: Batch) -> dict[str, Any]:
        sounds, videos = self.embed(batch)
        middle = batch["frames"][:, :, batch["frames"].shape[2] // 2]
        return {"sounds": sounds.cpu(), "videos": videos.cpu(), "pictures": middle.half().cpu()}

    def figures(self, notes: list[dict[str, Any]]) -> dict[str, float]:
        """Percent of sounds whose own video is among the nearest 10, 5 and 1; the median rank, 1 the best; and among how many."""
        rank = ranks(*(torch.cat([note[name] for note in notes]) for name in ("sounds", "videos")))
        recall = {f"recall_at_{k}": 100 * float((rank <= k).float().mean()) for k in (10, 5, 1)}
        return recall | {"median_rank": float(rank.float().median()), "gallery": float(len(rank))}


def ranks(sounds: Tensor, videos: Tensor) -> Tensor:
    """Rank (N,) of each sound's own video (N, D) among all, 1 the best; of equal ones half are before it."""
    scores = sounds @ videos.T
    own = scores.diagonal()[:, None]
    return 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) // 2
