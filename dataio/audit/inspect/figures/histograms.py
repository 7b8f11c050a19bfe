"""How values are spread, as charts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dataio.audit.facts import binary
from dataio.audit.inspect.figures.chart import ACCENT, INK, SOFT, bare, label, png


def ridges(rows: Mapping[str, Mapping[str, np.ndarray]], unit: str, *, sizes: bool = False) -> bytes:
    """One histogram below the other, on one axis; each as high as its fullest bin.

    Args:
        rows: name of the row → name of the line → values. The lines of a row share its bins; at most two are told apart.
        sizes: the values are bytes, and the axis grows by powers of two.
    """
    if sizes:
        rows = {row: {line: np.log2(np.maximum(v, 1)) for line, v in lines.items()} for row, lines in rows.items()}
    everything = np.concatenate([values for lines in rows.values() for values in lines.values()])
    low, high = float(everything.min()), float(everything.max())
    pad = max((high - low) * 0.04, 0.5)
    bins = np.linspace(low - pad, high + pad, 49)
    figure = Figure(figsize=(4.6, 0.6 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, lines) in zip(axes, rows.items(), strict=True):
        for colour, (line, values) in zip((ACCENT, INK), lines.items(), strict=False):
            counts, _ = np.histogram(values, bins)
            axis.stairs(counts, bins, color=colour, fill=True, alpha=0.2)
            axis.stairs(counts, bins, color=colour, linewidth=1.1, label=line)
        bare(axis, "")
        axis.set_ylabel(name, rotation=0, ha="right", va="center", color=INK, fontsize=8)
        axis.margins(x=0)
        axis.tick_params(bottom=axis is axes[-1])
    if any(len(lines) > 1 for lines in rows.values()):
        figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, fontsize=8, ncols=2, loc="outside upper right")
    axes[-1].set_xlabel(unit, color=SOFT, fontsize=8)
    if sizes:
        step = next((step for step in (1, 2, 5) if high - low <= 5 * step), 10)
        marks = np.arange(np.ceil(bins[0] / step), np.floor(bins[-1] / step) + 1) * step
        axes[-1].set_xticks(marks, [binary(2.0**mark).replace(".0 ", " ") for mark in marks])
    return png(figure)


def bars(values: np.ndarray, unit: str, what: str) -> bytes:
    """One histogram of values that are not all the same; whole numbers get a bar each where they are few."""
    figure = Figure(figsize=(4.6, 1.9), layout="constrained")
    axis = figure.subplots()
    low, high = values.min(), values.max()
    whole = np.issubdtype(values.dtype, np.integer)
    bins: Any = np.arange(low - 0.5, high + 1) if whole and high - low < 40 else np.linspace(low, high, 41)
    counts, edges = np.histogram(values, bins)
    axis.bar((edges[:-1] + edges[1:]) / 2, counts, np.diff(edges) * 0.88, color=ACCENT, alpha=0.85)
    bare(axis, unit)
    axis.xaxis.set_major_locator(MaxNLocator(7, integer=bool(whole)))
    if len(counts) < 12:  # a few bars look like bars, not like walls
        room = (12 - len(counts)) / 2
        axis.set_xlim(max(edges[0] - room, min(edges[0], 0.0)), edges[-1] + room)
    axis.set_ylim(0, counts.max() * 1.25)
    axis.text(0, 1.0, f"highest bar: {counts.max():,} {what}", transform=axis.transAxes, color=SOFT, fontsize=8, va="top")
    return png(figure)


def ranking(counts: np.ndarray, names: Sequence[str]) -> bytes:
    """Clips of each class: a bar with its name for up to 24 classes, else all of them as one falling curve."""
    order = np.argsort(-counts, kind="stable")
    if len(order) > 24:
        figure = Figure(figsize=(4.6, 1.9), layout="constrained")
        axis = figure.subplots()
        axis.fill_between(np.arange(len(order)), counts[order], color=ACCENT, alpha=0.25, step="mid")
        axis.plot(np.arange(len(order)), counts[order], color=ACCENT, linewidth=1.2, drawstyle="steps-mid")
        bare(axis, "classes, the fullest first")
        axis.set_ylim(0, max(1, counts.max()) * 1.2)
        axis.margins(x=0)
        axis.text(
            1,
            1,
            f"{counts.max():,} to {counts.min():,} a class",
            transform=axis.transAxes,
            color=SOFT,
            fontsize=8,
            va="top",
            ha="right",
        )
        return png(figure)
    figure = Figure(figsize=(4.6, 0.4 + 0.24 * len(order)), layout="constrained")
    axis = figure.subplots()
    axis.barh(np.arange(len(order)), counts[order], color=ACCENT, height=0.65, alpha=0.85)
    for row, i in enumerate(order):
        axis.text(counts[i], row, f" {counts[i]:,}", va="center", color=SOFT, fontsize=8)
    axis.set_yticks(np.arange(len(order)), [label(names[i]) for i in order], fontsize=8)
    axis.tick_params(length=0, colors=INK)
    axis.set_xticks([])
    axis.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    return png(figure)
