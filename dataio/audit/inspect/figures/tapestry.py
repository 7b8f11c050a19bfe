"""Batches of clips as rows of coloured squares."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dataio.audit.inspect.figures.chart import INK, png
from dataio.audit.inspect.figures.overlays import class_colours


def tapestry(panels: Mapping[str, np.ndarray], batch: int) -> bytes:
    """Batches of clips, each clip a square in the colour of its recording: one panel beside the other.

    Args:
        panels: title → (n,) recording of each clip, in the order of reading; whole batches are shown.
        batch: clips a row.
    """
    ids = {r: i for i, r in enumerate(dict.fromkeys(int(r) for row in panels.values() for r in row))}
    colour = class_colours(len(ids))
    rows = max(1, *(len(row) // batch for row in panels.values()))
    figure = Figure(figsize=(9.2, 0.45 + 0.13 * rows), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, row) in zip(axes, panels.items(), strict=True):
        numbers = np.array([ids[int(r)] for r in row[: rows * batch]], np.int64)
        square = np.full((rows * batch, 3), 255, np.uint8)
        square[: len(numbers)] = colour[numbers]
        axis.imshow(square.reshape(rows, batch, 3), interpolation="nearest", aspect="auto")
        axis.set_title(title, color=INK, fontsize=9, loc="left")
        axis.set_xticks(np.arange(0.5, batch - 1), [])
        axis.set_yticks(np.arange(0.5, rows - 1), [])
        axis.grid(color="white", linewidth=0.7)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    return png(figure)
