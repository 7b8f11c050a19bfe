"""What the pictures of the evaluations have in common."""

from pathlib import Path
from typing import Any

INK, SOFT, RIGHT = "#1d2733", "#8a97a6", "#2e9e4f"
DPI = 110
WIDTH = 12.0
"""Inches: 1320 pixels."""

CHOSEN = "Clips chosen by the checksum of their id, not by how well they went."


def new_figure(height: float, title: str) -> Any:
    """A white figure of `WIDTH` × `height` inches with a title, which says too how its clips were chosen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    figure.suptitle(f"{title}\n{CHOSEN}", color=INK, fontsize=13, x=0.01, ha="left")
    return figure


def bare(axis: Any) -> None:
    """No ticks, no frame."""
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)


def save(figure: Any, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    figure.savefig(temporary, format="png", dpi=DPI)
    temporary.replace(path)
