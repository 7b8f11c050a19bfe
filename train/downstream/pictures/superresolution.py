"""Spatial sound super resolution: what the given pair hears, what another is predicted to hear, and what it hears."""

from pathlib import Path

from torch import Tensor

from train.downstream.base import Rows
from train.downstream.pictures.style import INK, new_figure, save

CLIPS = 3
RANGE = 70.0
"""Decibels below the loudest that are told apart."""

QUIET = "A prediction is too quiet where its phase cannot be told: leaving it out costs least."


def spectrograms(shown: Rows, figures: dict[str, float], pairs: tuple[str, str], grid: tuple[float, float], path: Path) -> None:
    """A row a clip, its left ear: input, predicted, true, all on one scale of decibels.

    Args:
        shown: given, predicted and target (n, 2 ears, 2, F, T), real and imaginary part.
        pairs: names of the given one and of the target.
        grid: seconds, and Hz of the highest frequency.
    """
    given, target = pairs
    columns = (
        (f"input: {given} pair, left ear", "given"),
        (f"predicted: {target} pair, left ear", "predicted"),
        (f"true: {target} pair, left ear", "target"),
    )
    clips = min(CLIPS, shown["target"].shape[0])
    levels = {name: decibels(shown[name][:clips, 0]) for _, name in columns}
    top = max(float(level.max()) for level in levels.values())
    found = f"STFT distance {figures['stft_distance']:.3g}, {figures['relative']:.0%} of that of predicting the input itself, "
    found += f"{figures['against_silence']:.0%} of that of silence"
    title = f"Spatial sound super resolution: what would another pair of ears hear?\n{found}\n{QUIET}"
    figure = new_figure(1.4 + 2.5 * clips, title)
    axes = figure.subplots(clips, len(columns), squeeze=False, sharex=True, sharey=True)
    for row in range(clips):
        for column, (title, name) in enumerate(columns):
            axis = axes[row, column]
            image = axis.imshow(
                levels[name][row].numpy(), origin="lower", aspect="auto", extent=(0, grid[0], 0, grid[1] / 1000),
                cmap="magma", vmin=top - RANGE, vmax=top, interpolation="nearest",
            )  # fmt: skip
            axis.tick_params(labelsize=9, colors=INK)
            if row == 0:
                axis.set_title(title, color=INK, fontsize=12, loc="left")
            if column == 0:
                axis.set_ylabel(f"clip {int(shown['clip'][row])}\nfrequency, kHz", color=INK, fontsize=10)
            if row == clips - 1:
                axis.set_xlabel("time, s", color=INK, fontsize=10)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.01)
    bar.set_label("level, dB", color=INK)
    save(figure, path)


def decibels(spectrogram: Tensor) -> Tensor:
    """Real and imaginary part (…, 2, F, T) to 10·log10 of the power (…, F, T), from −100 dB."""
    return 10 * spectrogram.float().square().sum(-3).clamp_min(1e-10).log10()
