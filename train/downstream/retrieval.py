"""Video retrieval (VR): which of all held-out clips does this sound belong to?"""

from pathlib import Path

import torch
from torch import Tensor

from models.encoder import Encoder
from models.heads import Projection
from models.video import azimuth_bins
from train.downstream.base import Downstream, Rows
from train.downstream.pictures.pixels import thumbnails
from train.objectives.base import Batch, Metrics, video_encoder
from train.objectives.contrast import info_nce
from train.objectives.gather import first_row, gathered
from train.recipe import Recipe

BLOCK = 1024
"""Queries that are ranked at once."""


class VideoRetrieval(Downstream):
    """Equation 2 both ways between the frozen sound features and a video encoder that learns; ranked by cosine similarity."""

    FIELDS = ("sound", "frames")
    MERIT = "recall_at_10"

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__(recipe, encoder)
        model = recipe.model
        self.temperature, self.azimuths = recipe.downstream.temperature, model.azimuths
        self.video = video_encoder(recipe)
        hidden, channels = 2 * model.embedding, int(self.video.out_channels)  # type: ignore[arg-type]
        self.of_sound = Projection(self.pooled, model.embedding, hidden=None)  # linear: what counts is what the features hold
        self.of_video = Projection(channels * model.azimuths, model.embedding, hidden=hidden)

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
        video = azimuth_bins(self.video(batch["frames"].float()), self.azimuths).flatten(1)
        return self.of_sound(self.pooled_features(batch["sound"])), self.of_video(video)

    def note(self, batch: Batch) -> Rows:
        sounds, videos = self.embed(batch)
        return {"sounds": sounds, "videos": videos, "pictures": thumbnails(batch["frames"])}

    def figures(self, rows: Rows) -> dict[str, float]:
        """Percent of sounds whose own video is among the nearest 10, 5 and 1; the median rank, 1 the best; and among how many."""
        rank = ranks(rows["sounds"], rows["videos"])
        recall = {f"recall_at_{k}": 100 * float((rank <= k).double().mean()) for k in (10, 5, 1)}
        return recall | {"median_rank": float(rank.double().quantile(0.5)), "gallery": float(len(rank))}

    def draw(self, rows: Rows, shown: Rows, path: Path) -> None:
        from train.downstream.pictures.retrieval import retrieved

        retrieved(rows, shown["clip"].tolist(), self.figures(rows), path)


def ranks(sounds: Tensor, videos: Tensor) -> Tensor:
    """Rank (N,) of each sound's own video (N, D) among all, 1 the best; of equal ones half are before it."""
    found = []
    for first in range(0, len(sounds), BLOCK):  # N² scores at once would not fit for a million clips
        scores = sounds[first : first + BLOCK] @ videos.T
        own = scores.diagonal(first)[:, None]
        found.append(1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) // 2)
    return torch.cat(found)
