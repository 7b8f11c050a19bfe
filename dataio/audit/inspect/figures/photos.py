"""Photographs as JPEGs."""

import io

import numpy as np
from PIL import Image


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
