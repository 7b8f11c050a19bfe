"""What every evaluation has in common: an encoder whose features enter a head, and figures on held-out clips."""

from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from dataio.stream.kernels.stft import FLOOR
from models.encoder import Encoder
from models.sound import pool_over_time
from train.objectives.base import Batch, Objective, pooled_size
from train.recipe import Recipe

Rows = dict[str, Tensor]
"""Tensors (N, …) by name, on the CPU: row n of each belongs to clip n."""


class Downstream(Objective):
    """A head on an encoder, which is frozen (`models.encoders.Frozen`) or, for the supervised baseline, learns with it.

    Features enter the head through a batch norm without weights: an encoder is not better for being louder.

    HIGHER: whether a larger figure of merit is better. MERIT: which of the figures that is.
    SHOWN: what of a note is too large to be kept of every clip; it is kept of the few that the picture shows.
    BESIDE: batch fields that the picture shows beside what `forward` reads.
    """

    MERIT: ClassVar[str]
    HIGHER: ClassVar[bool] = True
    SHOWN: ClassVar[tuple[str, ...]] = ()
    BESIDE: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__(recipe, encoder)
        self.norm = nn.BatchNorm2d(encoder.out_channels, affine=False)  # type: ignore[arg-type]
        self.pooled = pooled_size(encoder, recipe)

    def features(self, log_power: Tensor) -> Tensor:
        """Log power (B, ears, F, T) to standardised features (B, C, F', T')."""
        return self.norm(self.encoder(log_power))

    def pooled_features(self, log_power: Tensor) -> Tensor:
        """… to (B, C · F')."""
        return pool_over_time(self.features(log_power))

    def note(self, batch: Batch) -> Rows:
        """What the figures and the picture are made of, each clip by itself: tensors (B, …) on any device.

        Called without gradients, in evaluation mode, so that a clip's row does not depend on what else is in its batch.
        """
        raise NotImplementedError

    def figures(self, rows: Rows) -> dict[str, float]:
        """The figures of all held-out clips, `MERIT` first, from every row of their notes.

        Raises:
            ValueError: these clips show nothing, such as a set without any foreground.
        """
        raise NotImplementedError

    def draw(self, rows: Rows, shown: Rows, path: Path) -> None:
        """Write the picture, a PNG.

        Args:
            rows: of every clip. shown: all of the note, `SHOWN` too, of the clips to show.
        """
        raise NotImplementedError


def log_power(spectrogram: Tensor) -> Tensor:
    """Complex spectrograms (B, ears, 2, F, T) to the natural log of max(power, 1e-5), as the loader's `log` has it."""
    return spectrogram.float().square().sum(2).clamp_min(FLOOR).log()
