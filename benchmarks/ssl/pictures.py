"""The trade-off figure of the paper's supplement, and the table as a picture."""

import io
from typing import Any

from matplotlib.figure import Figure

from benchmarks.ssl.rows import COMBINED, SINGLE, TITLES

INK, SOFT, ACCENT, CALM = "#1d2733", "#8a97a6", "#e4572e", "#2e86ab"


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
            name = SINGLE.get(row, TITLES[row])
            axis.annotate(name, (x["mean"], scale * y["mean"]), (6, 5), textcoords="offset points", fontsize=9, color=INK)
        axis.set_xlabel("S³R: STFT distance (left is better)", color=INK)
        axis.set_ylabel(f"{label} (up is better)", color=INK)
        axis.grid(color="#e6eaee", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.margins(0.12)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, facecolor="white")
    return buffer.getvalue()
