"""The pictures of an inspection: what a clip looks and sounds like, and how a set is spread. Arrays in, image bytes out.

Photographs are JPEGs and charts are PNGs, so that any reader shows them. Nothing here opens a file.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from dataio.audit.facts import binary

INK, SOFT, PALE, ACCENT = "#1d2733", "#8a97a6", "#dde3ea", "#e4572e"

N_FFT, HOP = 512, 160  # samples, as the loader's: 5.3 and 1.7 ms at 96 kHz
_COLUMNS, _ROWS = 480, 128  # pixels of a spectrogram
_RANGE = 80.0  # dB shown of a spectrogram


def jpeg(rgb: np.ndarray, width: int, quality: int = 82) -> bytes:
    """(H, W, 3) uint8 as a JPEG at most `width` wide; never enlarged."""
    buffer = io.BytesIO()
    shrink(rgb, width, Image.Resampling.BOX).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def shrink(picture: np.ndarray, width: int, how: Image.Resampling) -> Image.Image:
    """A picture at most `width` wide, with its proportions."""
    image = Image.fromarray(picture)
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), how)


def square(rgb: np.ndarray) -> np.ndarray:
    """The middle of a picture, as wide as high."""
    side = min(rgb.shape[:2])
    top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    return np.ascontiguousarray(rgb[top : top + side, left : left + side])


def turned(rgb: np.ndarray, degrees: float) -> np.ndarray:
    """The picture after the viewer turned right: column x shows column (x + W·ψ/360) mod W (`format/sphere.py`)."""
    return np.roll(rgb, -round(rgb.shape[1] * degrees / 360), 1)


def seam(rgb: np.ndarray) -> tuple[float, float]:
    """Mean step in grey levels between the last and the first column, and between two neighbours elsewhere (median of columns)."""
    grey = rgb.astype(np.float32).mean(2)
    steps = np.abs(grey - np.roll(grey, 1, 1)).mean(0)
    return float(steps[0]), float(np.median(steps[1:])) if len(steps) > 1 else 0.0


def spectrum(samples: np.ndarray) -> np.ndarray:
    """Power in dB of one ear, a full-scale sine being 0: (≤ 128, ≤ 480), low frequencies last.

    Args:
        samples: (n,) of full scale. Periodic Hann window 512, hop 160, centred; averaged over cells of time and frequency.
    """
    padded = np.pad(samples.astype(np.float32), N_FFT // 2)
    count = 1 + max(0, len(padded) - N_FFT) // HOP
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)
    power = np.empty((N_FFT // 2, count), np.float32)
    for at in range(0, count, 1024):  # a bounded piece at a time, however long the sound
        starts = HOP * np.arange(at, min(at + 1024, count))
        lines = np.fft.rfft(padded[starts[:, None] + np.arange(N_FFT)] * window)[:, 1:]
        power[:, at : at + len(starts)] = (np.abs(lines) ** 2).T / (N_FFT / 4) ** 2
    power = power.reshape(_ROWS, -1, count).mean(1)
    edges = np.unique(np.arange(_COLUMNS) * count // _COLUMNS)
    widths = np.diff(np.append(edges, count))
    return 10 * np.log10(np.add.reduceat(power, edges, 1) / widths + 1e-15)[::-1]


def spectrum_picture(decibels: np.ndarray, top: float) -> bytes:
    """A spectrum as a JPEG, from `top` dB down to 80 dB below."""
    level = np.clip((decibels - top) / _RANGE + 1, 0, 1)
    return jpeg((colormaps["magma"](level)[..., :3] * 255).round().astype(np.uint8), _COLUMNS, 85)


def envelope(samples: np.ndarray, peak: float, width: int = _COLUMNS, height: int = 48) -> str:
    """The waveform as the `d` of an SVG path: highest and lowest sample of each column, `peak` reaching the edges."""
    columns = min(width, len(samples))
    edges = np.arange(columns) * len(samples) // columns
    half = height / 2
    scale = (half - 1) / peak if peak > 0 else 0.0
    high = half - np.maximum.reduceat(samples, edges) * scale - 0.3
    low = half - np.minimum.reduceat(samples, edges) * scale + 0.3
    x = (np.arange(columns) + 0.5) * width / columns
    there = [f"{a:.1f},{b:.1f}" for a, b in zip(x, high, strict=True)]
    back = [f"{a:.1f},{b:.1f}" for a, b in zip(x[::-1], low[::-1], strict=True)]
    return "M" + "L".join(there + back) + "Z"


def wheel_colours(u: np.ndarray, v: np.ndarray, fastest: float) -> np.ndarray:
    """Motion as colour, (…, 3) in [0, 1]: direction is hue (red to the right, clockwise), speed is saturation on white."""
    hue = np.arctan2(v, u) / (2 * np.pi) % 1.0
    strength = np.clip(np.hypot(u, v) / max(fastest, 1e-6), 0, 1)[..., None]
    return 1 - strength * (1 - colormaps["hsv"](hue)[..., :3])


def flow_overlay(rgb: np.ndarray, flow: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, float]:
    """Flow over the greyed frame, (H, W, 3) uint8; speed in pixels at full colour: the 99.5th percentile, at least 1.

    Args:
        flow: (H, W, 2) pixels, (u, v). valid: (H, W) bool; elsewhere the frame is seen.
    """
    speed = np.hypot(flow[..., 0], flow[..., 1])
    fastest = max(1.0, float(np.percentile(speed[valid], 99.5))) if valid.any() else 1.0
    cover = (np.clip(speed / fastest * 2, 0, 1) * valid)[..., None] * 0.85
    colour = wheel_colours(flow[..., 0], flow[..., 1], fastest)
    return _blend(_grey(rgb) * 0.75, colour * 255, cover), fastest


def wheel(size: int = 96) -> bytes:
    """The key to `flow_overlay`: a disc whose colours stand for the directions in which they lie."""
    at = (np.arange(size) + 0.5) / size * 2 - 1
    u, v = np.meshgrid(at, at)
    disc = np.where((np.hypot(u, v) <= 1)[..., None], wheel_colours(u, v, 1.0), 1.0)
    buffer = io.BytesIO()
    Image.fromarray((disc * 255).round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def mask_overlay(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What is masked keeps its colours with a warm tint; the rest is darkened grey. mask: (H, W), other than 0 where it moves."""
    chosen = (mask > 0)[..., None]
    tint = _blend(rgb.astype(np.float32), np.array([228.0, 87.0, 46.0]), np.float32(0.35)).astype(np.float32)
    return _blend(_grey(rgb) * 0.45, tint, chosen.astype(np.float32))


def class_colours(count: int = 256) -> np.ndarray:
    """A colour for each class number, (count, 3) uint8: hues a golden angle apart, so that neighbours differ."""
    number = np.arange(count)
    pure = colormaps["hsv"]((number * 0.61803398875 + 0.03) % 1.0)[:, :3]
    return (255 * (pure * 0.62 + np.array([0.26, 0.14, 0.36])[number % 3, None]).clip(0, 1)).round().astype(np.uint8)


def label_overlay(rgb: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Class colours over the greyed frame; the most frequent class is left as the frame. labels: (H, W) uint8."""
    colour = class_colours()[labels].astype(np.float32)
    background = np.bincount(labels.ravel(), minlength=1).argmax()
    return _blend(_grey(rgb), colour, np.where(labels == background, 0.0, 0.6)[..., None])


def _grey(rgb: np.ndarray) -> np.ndarray:
    return np.repeat(rgb.astype(np.float32).mean(2, keepdims=True), 3, 2)


def _blend(below: np.ndarray, above: np.ndarray, cover: Any) -> np.ndarray:
    return np.clip(below * (1 - cover) + above * cover, 0, 255).round().astype(np.uint8)


# charts


def _png(figure: Figure) -> bytes:
    """A palette of 128 colours: a third of the bytes, and no eye sees it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white")
    out = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _bare(axis: Any, label: str) -> None:
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(PALE)
    axis.set_yticks([])
    axis.tick_params(colors=SOFT, labelsize=8, length=3)
    axis.set_xlabel(label, color=SOFT, fontsize=8)


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
        _bare(axis, "")
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
    return _png(figure)


def bars(values: np.ndarray, unit: str, what: str) -> bytes:
    """One histogram of values that are not all the same; whole numbers get a bar each where they are few."""
    figure = Figure(figsize=(4.6, 1.9), layout="constrained")
    axis = figure.subplots()
    low, high = values.min(), values.max()
    whole = np.issubdtype(values.dtype, np.integer)
    bins: Any = np.arange(low - 0.5, high + 1) if whole and high - low < 40 else np.linspace(low, high, 41)
    counts, edges = np.histogram(values, bins)
    axis.bar((edges[:-1] + edges[1:]) / 2, counts, np.diff(edges) * 0.88, color=ACCENT, alpha=0.85)
    _bare(axis, unit)
    axis.xaxis.set_major_locator(MaxNLocator(7, integer=bool(whole)))
    if len(counts) < 12:  # a few bars look like bars, not like walls
        room = (12 - len(counts)) / 2
        axis.set_xlim(max(edges[0] - room, min(edges[0], 0.0)), edges[-1] + room)
    axis.set_ylim(0, counts.max() * 1.25)
    axis.text(0, 1.0, f"highest bar: {counts.max():,} {what}", transform=axis.transAxes, color=SOFT, fontsize=8, va="top")
    return _png(figure)


def ranking(counts: np.ndarray, names: Sequence[str]) -> bytes:
    """Clips of each class: a bar with its name for up to 24 classes, else all of them as one falling curve."""
    order = np.argsort(-counts, kind="stable")
    if len(order) > 24:
        figure = Figure(figsize=(4.6, 1.9), layout="constrained")
        axis = figure.subplots()
        axis.fill_between(np.arange(len(order)), counts[order], color=ACCENT, alpha=0.25, step="mid")
        axis.plot(np.arange(len(order)), counts[order], color=ACCENT, linewidth=1.2, drawstyle="steps-mid")
        _bare(axis, "classes, the fullest first")
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
        return _png(figure)
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
    return _png(figure)


def label(text: str, most: int = 22) -> str:
    """Names of others as plain characters: `$` would start a formula, and the font lacks most scripts."""
    ascii_text = text.encode("ascii", "replace").decode().replace("$", r"\$")
    return ascii_text if len(text) <= most else ascii_text[: most - 1] + "…"


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
    return _png(figure)
