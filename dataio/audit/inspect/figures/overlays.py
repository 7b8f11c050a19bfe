"""What belongs to a frame, laid over it: motion, moving foreground, classes."""

import io
from typing import Any

import numpy as np
from matplotlib import colormaps
from PIL import Image


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
