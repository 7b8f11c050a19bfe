"""Heads of spatial alignment: they score every yaw class from a map over azimuth (video) and a feature vector (sound).

Convention: a yaw of k·360°/K turns the viewer right, so column x of the turned picture shows column x + k·W/K of the unturned
one (`dataio.format.sphere`). The sound is not turned. Logit k scores that yaw.
"""

import torch
from torch import Tensor, nn

from models.video import azimuth_bins


class CorrelationHead(nn.Module):
    """Lay the sound over the picture at every yaw, and score how well they match.

    The sound becomes a map over azimuth of its own. If the picture was turned by class k, what it shows in bin a sounds from
    bin a + k·A/K; so logit k is the correlation of the video map with the sound map turned back by as many bins. The head
    is equivariant by construction: it need not learn what turning means, only what sounds and looks alike.

    Args:
        sound_features, video_channels: sizes of the inputs.
        classes: yaw classes K.
        azimuths: bins A; a multiple of K.
        channels: channels in which the two maps are compared.

    Raises:
        ValueError: `azimuths` is no multiple of `classes`.
    """

    def __init__(self, sound_features: int, video_channels: int, *, classes: int, azimuths: int = 16, channels: int = 32) -> None:
        super().__init__()
        if azimuths % classes:
            raise ValueError(f"azimuths={azimuths} must be a multiple of the {classes} yaw classes, so that each turns whole bins")
        self.classes, self.azimuths, self.channels = classes, azimuths, channels
        self.sound = nn.Linear(sound_features, channels * azimuths)
        self.video = nn.Conv1d(video_channels, channels, kernel_size=1)

    def forward(self, video: Tensor, sound: Tensor) -> Tensor:
        """Video map (B, video_channels, A·n) and sound features (B, sound_features) to logits (B, K)."""
        video_map = self.video(azimuth_bins(video, self.azimuths))
        sound_map = self.sound(sound).unflatten(1, (self.channels, self.azimuths))
        return correlate(video_map, sound_map, self.classes)


def correlate(video_map: Tensor, sound_map: Tensor, classes: int) -> Tensor:
    """Correlation of two maps over azimuth (B, C, A) at every yaw class: (B, K).

    Entry k is Σ_{c,a} video[c, a] · sound[c, (a + k·A/K) mod A] / √(C·A).
    """
    channels, azimuths = sound_map.shape[1:]
    step = azimuths // classes
    turned = torch.stack([sound_map.roll(-k * step, dims=-1) for k in range(classes)], dim=1)  # (B, K, C, A)
    return torch.einsum("bca,bkca->bk", video_map, turned) / (channels * azimuths) ** 0.5


class ConcatHead(nn.Module):
    """The plain head: both features side by side, and a two-layer perceptron on top.

    It keeps the azimuth (the video map is flattened, not averaged), but has to learn from examples what turning does.
    """

    def __init__(self, sound_features: int, video_channels: int, *, classes: int, azimuths: int = 16, channels: int = 256) -> None:
        super().__init__()
        self.azimuths = azimuths
        self.layers = nn.Sequential(
            nn.Linear(sound_features + video_channels * azimuths, channels),
            nn.ReLU(),
            nn.Linear(channels, classes),
        )

    def forward(self, video: Tensor, sound: Tensor) -> Tensor:
        """Video map (B, video_channels, A·n) and sound features (B, sound_features) to logits (B, K)."""
        video_map = azimuth_bins(video, self.azimuths)
        return self.layers(torch.cat([video_map.flatten(1), sound], dim=1))
