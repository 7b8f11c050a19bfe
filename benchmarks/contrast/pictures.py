"""Pictures of the bench: how k-NN accuracy grows while it learns, and what each encoder's cells say about a few scenes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from benchmarks.contrast.cells import truth
from benchmarks.contrast.material import Scenes
from train.log import VALIDATION, read_log

INK = "#1d2733"
SHOWN = 5  # scenes


def curves(runs: dict[str, Path], table: dict[str, Any]) -> bytes:
    """k-NN accuracy by training step, of the last stage of each run, as PNG; the random encoder is a line."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.add_subplot()
    if "random" in table:
        axis.axhline(100 * table["random"]["knn"]["mean"], color="#8a97a6", linestyle="--", label="random, frozen")
    for title, run in runs.items():
        stages = sorted(run.glob("2-*")) or [run]
        lines = read_log(stages[-1], VALIDATION)
        if lines:
            axis.plot([line["step"] for line in lines], [100 * line["knn"] for line in lines], marker=".", label=title)
    axis.set_xlabel("training step", color=INK)
    axis.set_ylabel("k-NN accuracy on held-out pictures, %", color=INK)
    axis.set_ylim(bottom=0)
    axis.grid(color="#e6eaee", linewidth=0.6)
    axis.legend(frameon=False)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return _png(figure)


def cell_maps(scenes: Scenes, told: dict[str, np.ndarray]) -> bytes:
    """The first held-out scenes: picture, truth by cell, and what each encoder's probe told, as PNG. Colours are classes."""
    _, h, w = next(iter(told.values())).shape
    right = truth(scenes.classes[:SHOWN], h, w)
    rows = {"scene": scenes.pictures[:SHOWN], "truth": right} | {title: maps[:SHOWN] for title, maps in told.items()}
    colours = _colours(int(scenes.classes.max()))
    figure = Figure(figsize=(2 * SHOWN, 2 * len(rows)), layout="constrained")
    for y, (title, pictures) in enumerate(rows.items()):
        for x in range(SHOWN):
            axis = figure.add_subplot(len(rows), SHOWN, y * SHOWN + x + 1)
            if pictures[x].ndim == 3:
                axis.imshow(pictures[x])
            else:
                axis.imshow(pictures[x], cmap=colours, vmin=0, vmax=colours.N - 1, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            if x == 0:
                axis.set_ylabel(title, color=INK, fontsize=9)
    return _png(figure)


def _colours(classes: int) -> ListedColormap:
    """Pale grey for the background, then hues far apart for neighbours in number."""
    from colorsys import hsv_to_rgb

    hues = [(0.381966 * number) % 1 for number in range(classes)]
    return ListedColormap(
        [(0.93, 0.94, 0.95), *(hsv_to_rgb(hue, 0.65 + 0.3 * (i % 2), 0.85 - 0.2 * (i % 3)) for i, hue in enumerate(hues))]
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white")
    return buffer.getvalue()
