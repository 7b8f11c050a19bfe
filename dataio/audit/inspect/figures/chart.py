"""What all charts have in common: colours, bare axes, names of others as labels, PNGs of few bytes."""

import io
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

INK, SOFT, PALE, ACCENT = "#1d2733", "#8a97a6", "#dde3ea", "#e4572e"


def png(figure: Figure) -> bytes:
    """A figure in a palette of 128 colours: a third of the bytes, and no eye sees it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white")
    out = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def bare(axis: Any, label: str) -> None:
    """Leave of an axis what a histogram needs: a pale line with values, and their unit below."""
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(PALE)
    axis.set_yticks([])
    axis.tick_params(colors=SOFT, labelsize=8, length=3)
    axis.set_xlabel(label, color=SOFT, fontsize=8)


def label(text: str, most: int = 22) -> str:
    """Names of others as plain characters: `$` would start a formula, and the font lacks most scripts."""
    ascii_text = text.encode("ascii", "replace").decode().replace("$", r"\$")
    return ascii_text if len(text) <= most else ascii_text[: most - 1] + "…"
