"""What every evaluation has in common: an encoder whose features enter a head, and figures on held-out clips."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dataio.stream.kernels.stft import FLOOR
from models.sound import pool_over_time
from train.objectives.base import Batch, Objective, pooled_size
from train.recipe import Recipe


class Downstream(Objective):
    """A head on an encoder, which is frozen (`models.encoders.Frozen`) or, for the supervised baseline, learns with it.

    Features enter the head through a batch norm without weights: an encoder is not better for being louder.

    HIGHER: whether a larger figure of merit is better. MERIT: which of the figures that is.
    """

    MERIT: ClassVar[str]
    HIGHER: ClassVar[bool] = True

    def __init__(self, recipe: Recipe, sound: nn.Module) -> None:
        super().__init__(recipe, sound)
        self.norm = nn.BatchNorm2d(sound.out_channels, affine=False)
        self.pooled = pooled_size(sound, recipe)

    def features(self, log_power: Tensor) -> Tensor:
        """Log power (B, ears, F, T) to standardised features (B, C, F', T')."""
        return self.norm(self.sound(log_power))

    def pooled_features(self, log_power: Tensor) -> Tensor:
        """… to (B, C · F')."""
        return pool_over_time(self.features(log_power))

    def note(self, batch: Batch) -> dict[str, Any]:
        """What of a batch of held-out clips the figures and the picture are made of; called without gradients, in evaluation mode."""
        raise NotImplementedError

    def figures(self, notes: list[dict[str, Any]]) -> dict[str, float]:
        """The figures of all held-out clips, `MERIT` first."""
        raise NotImplementedError


def log_power(spectrogram: Tensor) -> Tensor:
    """Complex spectrograms (B, ears, 2, F, T) to the natural log of max(power, 1e-5), as the loader's `log` has it."""
    return spectrogram.float().square().sum(2).clamp_min(FLOOR).log()


def totals(notes: list[dict[str, Any]], name: str) -> Tensor:
    """One entry of all batches, summed."""
    return torch.stack([note[name] for note in notes]).sum(0)
