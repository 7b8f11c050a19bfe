"""Motion between two frames of a clip, in pixels.

Pictures are equirectangular, at the size at which they are stored; everything wraps around in azimuth, so that there is no seam at
±180°. u and v count such pixels, which are narrower on the sphere the nearer they lie to a pole: cos(elevation)·360°/W wide.
The same frames give the same bytes, whatever number of threads OpenCV was told to use.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

POLE = 75.0
"""Degrees of elevation beyond which flow is not valid: there the picture is stretched fourfold, and a step turns what it shows."""

_REACH = 8  # the picture is continued by 1/8 of its width to both sides: what moves by 1/16 keeps its patch, four levels down
_SMOOTHNESS = 10.0  # weight of smoothness; OpenCV's 20 draws small things along with what is behind them
SMALLEST = 32  # pixels a side; below, the pyramid of the flow has no level

_alone = threading.Lock()


def flow_frames(frames: int) -> tuple[int, int]:
    """Which two of a clip's stored frames flow runs between, from the first to the second; the mask is of the first.

    They are frame F/2, of which the class map is, and the next; in a clip of two frames the first and the second.

    Raises:
        ValueError: fewer than two frames.
    """
    if frames < 2:
        raise ValueError(f"motion needs two frames a clip, not {frames}")
    first = min(frames // 2, frames - 2)
    return first, first + 1


def flow(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Motion from the first picture to the second: dense inverse search (Kroeger et al., ECCV 2016), near OpenCV's medium preset.

    Valid is where the flow back, at the place that the flow leads to, cancels it: |f + b|² < 0.01·(|f|² + |b|²) + 0.5 (Sundaram,
    Brox and Keutzer, ECCV 2010), so not where something is hidden in the second picture; and only below `POLE`. Takes some 80 bytes
    a pixel, and misses what is much smaller than the way it has gone.

    Args:
        first, second: (H, W, 3) uint8 RGB, of the same size.

    Returns:
        flow: (H, W, 2) float32, (u, v): pixels to the right, across the edge if need be, and down.
        valid: (H, W) bool.

    Raises:
        ValueError: the pictures are not two of a kind, or smaller than 32 pixels a side.
    """
    for picture in (first, second):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.shape != first.shape:
            kinds = " and ".join(f"{each.dtype} {each.shape}" for each in (first, second))
            raise ValueError(f"flow runs between two (H, W, 3) uint8 pictures of one size, not {kinds}")
    height, width = first.shape[:2]
    if min(height, width) < SMALLEST:
        raise ValueError(f"flow needs pictures of {SMALLEST} pixels a side or more, not {height}x{width}")
    with opencv() as cv2:
        return flow_of(cv2, first, second)


@contextmanager
def opencv() -> Iterator[Any]:
    """OpenCV with one thread: a worker has no more, and nothing may hang on the stripes that pictures are cut into for several."""
    import cv2  # takes a third of a second

    with _alone:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield cv2
        finally:
            cv2.setNumThreads(threads)


def flow_of(cv2: Any, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = first.shape[:2]
    preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    there, back = search(cv2, first, second, preset), search(cv2, second, first, preset)
    x = np.arange(width, dtype=np.float32)[None, :] + there[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + there[..., 1]
    returned = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    size = squared(there) + squared(returned)
    valid = (squared(there + returned) < 0.01 * size + 0.5) & (y >= 0) & (y <= height - 1)
    valid[np.abs(elevations(height)) > POLE] = False
    return there, valid


def squared(flow: np.ndarray) -> np.ndarray:
    """Squared length: (H, W)."""
    return flow[..., 0] ** 2 + flow[..., 1] ** 2


def search(cv2: Any, first: np.ndarray, second: np.ndarray, preset: int) -> np.ndarray:
    """Flow without a seam: (H, W, 2) float32."""
    width = first.shape[1]
    pad = width // _REACH
    grey = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second))
    a, b = (cv2.copyMakeBorder(picture, 0, 0, pad, pad, cv2.BORDER_WRAP) for picture in grey)
    finder = cv2.DISOpticalFlow_create(preset)
    finder.setVariationalRefinementAlpha(_SMOOTHNESS)
    return np.ascontiguousarray(finder.calc(a, b, None)[:, pad : pad + width])


def elevations(height: int) -> np.ndarray:
    """Degrees above the horizon that the middles of the rows look towards: (height,) float64."""
    return 90.0 - (np.arange(height) + 0.5) * 180.0 / height
