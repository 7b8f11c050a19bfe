"""The trade-off figure of the paper's supplement."""

import io
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.ssl.rows import COMBINED, SINGLE, TITLES

INK, SOFT, ACCENT, CALM = "#1d2733", "#8a97a6", "#e4572e", "#2e86ab"


GAP = 0.055  # between the middles of two names, of the height of the axes


def trade_off(table: dict[str, dict[str, Any]]) -> bytes:
    """SP and VR against S³R, as PNG: every row a point with its spread, better to the upper left.

    Combined methods are coloured, single tasks and baselines grey, as in figure 2 of the supplement.
    """
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    for place, (task, label, scale) in enumerate((("sp", "SP: foreground mIoU, %", 100), ("vr", "VR: recall at 10, %", 1)), 1):
        axis = figure.add_subplot(1, 2, place)
        for row, columns in table.items():
            combined = row in COMBINED
            colour = ACCENT if row == "incremental" else CALM if combined else SOFT
            x, y = columns["s3r"], columns[task]
            axis.errorbar(
                x["mean"], scale * y["mean"], xerr=x["spread"], yerr=scale * y["spread"], fmt="o" if combined else "s",
                color=colour, markersize=7 if combined else 5, elinewidth=0.8, capsize=2,
            )  # fmt: skip
        axis.set_xlabel("S³R: STFT distance (left is better)", color=INK)
        axis.set_ylabel(f"{label} (up is better)", color=INK)
        axis.grid(color="#e6eaee", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.margins(0.06)
        _name(axis, {SINGLE.get(row, TITLES[row]): (c["s3r"]["mean"], scale * c[task]["mean"]) for row, c in table.items()})
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white")
    return buffer.getvalue()


def _name(axis: Axes, points: dict[str, tuple[float, float]]) -> None:
    """Names in a column beside the axes, in the order of their points' heights, a line from each to its point."""
    low, high = axis.get_ylim()
    names = sorted(points, key=lambda name: points[name][1])
    for name, height in zip(names, _apart([(points[name][1] - low) / (high - low) for name in names], GAP), strict=True):
        line = {"arrowstyle": "-", "color": SOFT, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 4}
        axis.annotate(
            name, points[name], (1.04, height), textcoords="axes fraction", va="center", fontsize=9, color=INK, arrowprops=line,
            annotation_clip=False,
        )  # fmt: skip


def _apart(heights: list[float], gap: float) -> list[float]:
    """Rising heights that are `gap` apart at least, nearest to these, which do not fall: those that touch share their middle."""
    groups: list[list[float]] = []  # places less i gaps: then touching ones are equal
    for i, height in enumerate(heights):
        groups.append([height - i * gap])
        while len(groups) > 1 and fmean(groups[-2]) >= fmean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    flat = [fmean(group) for group in groups for _ in group]
    return [place + i * gap for i, place in enumerate(flat)]
