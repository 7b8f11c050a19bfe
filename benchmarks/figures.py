"""The pictures of a report, as PNG bytes: a batch, a loss curve, a confusion matrix, the time of each stage."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from dataio.stream.kernels.rotate import MEAN, STD

INK, SOFT, ACCENT = "#1d2733", "#8a97a6", "#e4572e"


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white", bbox_inches="tight")
    return buffer.getvalue()


def pixels(frames: torch.Tensor) -> np.ndarray:
    """One normalised frame (3, H, W) as the eye wants it: (H, W, 3) in [0, 1]."""
    levels = frames.float().permute(1, 2, 0).cpu().numpy() * np.array(STD) + np.array(MEAN)
    return np.clip(levels, 0, 1)


def batch_picture(
    still: torch.Tensor,
    turned: torch.Tensor,
    sound: torch.Tensor,
    *,
    degrees: float,
    seconds: float,
    rate: int,
    ears: Sequence[str],
) -> bytes:
    """A frame, the same frame turned, and the log-power spectrogram of every ear.

    Args:
        still, turned: (3, H, W) normalised. sound: (2P, 257, T) natural log of power. degrees: by which the viewer turned right.
        seconds: length of the sound window. rate: Hz. ears: name of each sound channel.
    """
    rows = -(-len(ears) // 2)
    figure = Figure(figsize=(11, 2.9 + 1.7 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, 2, height_ratios=[1.7, *[1] * rows])
    for axis, picture, title in zip(
        (figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])),
        (still, turned),
        ("as recorded", f"the viewer turned right by {degrees:.0f}°"),
        strict=True,
    ):
        axis.imshow(pixels(picture), extent=(-180, 180, -90, 90), aspect="auto", interpolation="nearest")
        axis.axvline(0, color="white", linewidth=0.8, linestyle=":")
        axis.set_title(title, color=INK, fontsize=11, loc="left")
        axis.set_xticks([-180, -90, 0, 90, 180], ["−180°", "−90°", "front", "90°", "180°"])
        axis.set_yticks([])
    for i, ear in enumerate(ears):
        axis = figure.add_subplot(grid[1 + i // 2, i % 2])
        power = sound[i].float().cpu().numpy()
        axis.imshow(
            power,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, rate / 2000),
            cmap="magma",
            vmin=np.log(1e-5),
            vmax=float(sound.max()),
        )
        axis.text(0.01, 0.95, ear, transform=axis.transAxes, color="white", fontsize=10, va="top", fontweight="bold")
        axis.set_ylabel("kHz", color=SOFT)
        if i // 2 == rows - 1:
            axis.set_xlabel("seconds", color=SOFT)
    return _png(figure)


def loss_curve(
    steps: Sequence[int], losses: Sequence[float], accuracies: Sequence[float], validation: Sequence[tuple[int, float]]
) -> bytes:
    """Training loss and accuracy by step (faint: each step; strong: mean of 25), and validation accuracy as points."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    for axis, values, name in zip(figure.subplots(1, 2), (losses, accuracies), ("loss", "accuracy"), strict=True):
        axis.plot(steps, values, color=SOFT, linewidth=0.5, alpha=0.6)
        width = min(25, len(values))
        smooth = np.convolve(values, np.ones(width) / width, "valid")
        axis.plot(steps[width - 1 :], smooth, color=ACCENT, linewidth=1.8, label="training")
        axis.set_title(name, color=INK, fontsize=11, loc="left")
        axis.set_xlabel("step", color=SOFT)
        axis.spines[["top", "right"]].set_visible(False)
        if name == "accuracy":
            axis.set_ylim(0, 1)
            if validation:
                axis.plot(*zip(*validation, strict=True), "o", color=INK, markersize=4, label="validation")
            axis.legend(frameon=False, fontsize=9)
    return _png(figure)


def confusion_matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> bytes:
    """counts[true][predicted], each row also as a share."""
    table = np.array(counts, float)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), value in np.ndenumerate(share):
        axis.text(
            j, i, f"{value:.0%}\n{int(table[i, j])}", ha="center", va="center", color="white" if value > 0.5 else INK, fontsize=8
        )
    axis.set_xticks(range(len(names)), names)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("predicted", color=SOFT)
    axis.set_ylabel("true", color=SOFT)
    return _png(figure)


def stage_bars(stages: dict[str, Any]) -> bytes:
    """Seconds that each stage was busy, over all threads."""
    figure = Figure(figsize=(7, 0.6 + 0.34 * len(stages)), layout="constrained")
    axis = figure.subplots()
    names = list(stages)[::-1]
    seconds = [stages[name]["seconds"] for name in names]
    axis.barh(names, seconds, color=[SOFT if name == "wait" else ACCENT for name in names], height=0.6)
    for i, value in enumerate(seconds):
        axis.text(value, i, f" {value:.1f} s", va="center", color=INK, fontsize=9)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.set_xticks([])
    axis.margins(x=0.12)
    return _png(figure)
