"""Labels, masks and flow under pitch and roll, on the CPU: they look up the places that the frames do (tilt.py), and mix nothing.

A label is that of the nearest pixel; a motion leads from the place itself to where the vector of its nearest pixel ends.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from dataio.format import sphere
from dataio.stream.kernels.tilt import Turn


def nearest(row: float, column: float, turned: float, height: int, width: int) -> tuple[int, int]:
    """Row and column of the pixel in which a place lies. turned: columns by which the input is turned."""
    y, x = math.floor(row + 0.5), math.floor((column + turned) % width + 0.5)
    return min(max(int(y), 0), height - 1), int(x) % width


def shortest(columns: float, width: int) -> float:
    """A difference of columns the short way round: in [−width / 2, width / 2)."""
    return (columns + 0.5 * width) % width - 0.5 * width


_carried, _nearest, _shortest = njit(sphere.carried), njit(nearest), njit(shortest)


def turn_labels(labels: np.ndarray, turn: Turn, out: np.ndarray) -> None:
    """Class ids, or a mask, by the nearest pixel. Releases the GIL.

    Args:
        labels: (h, w) uint8. out: (H, W) uint8, filled.

    Raises:
        ValueError: a shape or dtype is wrong; the message says which.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8 or not labels.size:
        raise ValueError(f"labels are {labels.dtype} {labels.shape}; expected uint8 (h, w)")
    if out.ndim != 2 or out.dtype != np.uint8 or not out.size:
        raise ValueError(f"out is {out.dtype} {out.shape}; expected uint8 (H, W)")
    matrix = sphere.rotation(turn.pitch, turn.roll)
    _pick(np.ascontiguousarray(labels), turn.shift % out.shape[1], turn.mirror, matrix.reshape(-1), out)


def turn_flow(flow: np.ndarray, valid: np.ndarray, turn: Turn, out: np.ndarray) -> None:
    """Motion in pixels of the output: from a place to where the vector of its nearest pixel leads, both as the tilted viewer sees
    them, the short way round; 0 where it is not known. Mirrored, u changes sign. Releases the GIL.

    Args:
        flow: (h, w, 2) float32, (u, v). valid: (h, w) bool. out: (2, H, W) float32, filled.

    Raises:
        ValueError: a shape or dtype is wrong; the message says which.
    """
    size = flow.shape[:2]
    if flow.shape != (*size, 2) or flow.dtype != np.float32 or not flow.size:
        raise ValueError(f"flow is {flow.dtype} {flow.shape}; expected float32 (h, w, 2)")
    if valid.shape != size or valid.dtype != np.bool_:
        raise ValueError(f"valid is {valid.dtype} {valid.shape}; expected bool {size}")
    if out.ndim != 3 or out.shape[0] != 2 or out.dtype != np.float32 or not out.size:
        raise ValueError(f"out is {out.dtype} {out.shape}; expected float32 (2, H, W)")
    matrix = sphere.rotation(turn.pitch, turn.roll).reshape(-1)
    _lead(np.ascontiguousarray(flow), np.ascontiguousarray(valid), turn.shift % out.shape[2], turn.mirror, matrix, out)


@njit(nogil=True, cache=True)
def _pick(labels: Any, shift: int, mirror: bool, m: Any, out: Any) -> None:
    (h, w), (height, width) = labels.shape, out.shape
    turned = shift * w / width
    for y in range(height):
        for x in range(width):
            r, c = _carried(y, x, height, width, m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], h, w)
            row, column = _nearest(r, c, turned, h, w)
            out[y, width - 1 - x if mirror else x] = labels[row, column]


@njit(nogil=True, cache=True)
def _lead(flow: Any, valid: Any, shift: int, mirror: bool, m: Any, out: Any) -> None:
    (h, w), (_, height, width) = valid.shape, out.shape
    turned = shift * w / width
    for y in range(height):
        for x in range(width):
            to = width - 1 - x if mirror else x
            r, c = _carried(y, x, height, width, m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], h, w)
            row, column = _nearest(r, c, turned, h, w)
            if not valid[row, column]:
                out[0, y, to] = out[1, y, to] = 0
                continue
            r, c = r + flow[row, column, 1], c + flow[row, column, 0]
            # the inverse of a rotation is its transpose
            r, c = _carried(r, c, h, w, m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8], height, width)
            across = _shortest(c - x, width)
            out[0, y, to], out[1, y, to] = -across if mirror else across, r - y
