"""Pitch and roll on the CPU, in one pass with yaw, mirror, resize and normalisation: a pixel looks up its place on the sphere.

Yaw alone moves whole columns and mixes nothing; that is rotate.py. A tilt must interpolate: bilinear between the four pixels around
the place, round the ±180° seam and over the poles, where the next row is the same one half a circle on. Where the picture shrinks
by more than 1.5 an output pixel is the mean of several such places, as few as leave 1.5 input pixels between them; that lets a
little more alias than the triangle of `resize_table`. What is no light is never mixed: see tilt_maps.

The map is worked out once a clip, in double precision, and serves all its frames: the thousandth of a pixel at 3840 columns is
beyond single precision.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from dataio.format import sphere
from dataio.stream.kernels.rotate import Resize

LEAST = 1.5
"""Input pixels between the places that are averaged, at most."""

MOST = 4
"""Places that are averaged along an axis, at most: shrinking by more than 6 aliases."""


@dataclass(frozen=True)
class Turn:
    """How a viewer stands: shift, in columns of the output, and mirror as in `rotate`; pitch and roll in degrees."""

    shift: int
    mirror: bool
    pitch: float
    roll: float


def matrices(turns: Sequence[Turn]) -> np.ndarray:
    """What the GPU's kernels take of the tilts of a batch: (B, 9) float64, the rotations row by row."""
    return np.array([sphere.rotation(turn.pitch, turn.roll).reshape(-1) for turn in turns]).reshape(-1, 9)


def samples(stored: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """How many places, down and across, an output pixel is averaged from."""
    down, across = (min(max(1, math.ceil(n / m / LEAST)), MOST) for n, m in zip(stored, size, strict=True))
    return down, across


def corner(row: float, column: float, turned: float, width: int) -> tuple[int, int, float, float]:
    """The upper left one of the four pixels around a place, and how far the place lies from it, down and to the right.

    Args:
        turned: columns by which the input is turned. width: of the input.

    Returns:
        Row from −1 (beyond the upper pole) on, column in [0, width), and two numbers in [0, 1).
    """
    column = (column + turned) % width
    y, x = math.floor(row), math.floor(column)
    return int(y), int(x) % width, row - y, column - x


def looked_up(picture: Any, start: int, y: int, x: int, height: int, width: int) -> tuple[float, float, float]:
    """The pixel in this row and column of a flat (H, W, 3) that begins at `start`.

    Rows −1 and `height` lie beyond a pole, where the outermost row comes again half a circle on (of an odd width, half a pixel
    less); columns go round the circle.
    """
    if y < 0 or y >= height:
        y = 0 if y < 0 else height - 1
        x += width // 2
    x -= width if x >= width else 0
    at = start + 3 * (y * width + x)
    return picture[at], picture[at + 1], picture[at + 2]


_carried, _corner, _looked_up = njit(sphere.carried), njit(corner), njit(looked_up)


@dataclass(frozen=True)
class Places:
    """Where the pixels of a clip's pictures come from. rows, columns: (n, height, width) int32, the upper left of four pixels;
    down, right: (n, height, width) float32, how far from it; n places are averaged.
    """

    rows: np.ndarray
    columns: np.ndarray
    down: np.ndarray
    right: np.ndarray


def places(stored: tuple[int, int], size: tuple[int, int], turn: Turn) -> Places:
    """The map of a clip. Releases the GIL."""
    n = samples(stored, size)
    shape = (n[0] * n[1], *size)
    found = Places(*(np.empty(shape, kind) for kind in (np.int32, np.int32, np.float32, np.float32)))
    matrix = sphere.rotation(turn.pitch, turn.roll).reshape(-1)
    _fill(*stored, *n, turn.shift % size[1], turn.mirror, matrix, found.rows, found.columns, found.down, found.right)
    return found


@njit(nogil=True, cache=True)
def _fill(height_in, width_in, n_down, n_right, shift, mirror, m, rows, columns, down, right):  # type: ignore[no-untyped-def]
    _, height, width = rows.shape
    turned = shift * width_in / width
    for i in range(n_down):
        for j in range(n_right):
            k = i * n_right + j
            for y in range(height):
                row = y + (i + 0.5) / n_down - 0.5
                for x in range(width):
                    column = x + (j + 0.5) / n_right - 0.5
                    r, c = _carried(
                        row, column, height, width, m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], height_in, width_in
                    )
                    to = width - 1 - x if mirror else x
                    rows[k, y, to], columns[k, y, to], down[k, y, to], right[k, y, to] = _corner(r, c, turned, width_in)


def rotate_one(picture: np.ndarray, f: int, found: Places, resize: Resize, out: np.ndarray) -> None:
    """One picture, (H, W, 3) uint8, as frame f of `out`, (3, F, height, width) float32, tilted and normalised. Releases the GIL.

    Raises:
        ValueError: a shape or dtype is wrong, or `out` is not contiguous; the message says which.
    """
    if picture.shape != (*resize.stored, 3) or picture.dtype != np.uint8:
        raise ValueError(f"picture is {picture.dtype} {picture.shape}; expected uint8 {(*resize.stored, 3)}")
    if out.ndim != 4 or out.shape != (3, out.shape[1], *resize.size) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}; expected float32 (3, F, {resize.size[0]}, {resize.size[1]}) in C order")
    if not 0 <= f < out.shape[1]:
        raise ValueError(f"f={f}: out holds frames 0 to {out.shape[1] - 1}")
    flat = np.ascontiguousarray(picture).reshape(-1)
    flat.flags.writeable = False
    _mix(flat, *resize.stored, found.rows, found.columns, found.down, found.right, resize.gain, resize.bias, f, out)


@njit(nogil=True, cache=True)
def _mix(picture, height_in, width_in, rows, columns, down, right, gain, bias, f, out):  # type: ignore[no-untyped-def]
    count, height, width = rows.shape
    share = np.float32(1) / np.float32(count)
    for y in range(height):
        for x in range(width):
            r, g, b = np.float32(0), np.float32(0), np.float32(0)
            for k in range(count):
                row, column = rows[k, y, x], columns[k, y, x]
                for i in range(2):
                    vertical = (down[k, y, x] if i else np.float32(1) - down[k, y, x]) * share
                    for j in range(2):
                        weight = vertical * (right[k, y, x] if j else np.float32(1) - right[k, y, x])
                        p, q, s = _looked_up(picture, 0, row + i, column + j, height_in, width_in)
                        r, g, b = r + weight * np.float32(p), g + weight * np.float32(q), b + weight * np.float32(s)
            out[0, f, y, x] = r * gain[0] + bias[0]
            out[1, f, y, x] = g * gain[1] + bias[1]
            out[2, f, y, x] = b * gain[2] + bias[2]
