"""The yaw convention, and sampling of equirectangular pictures.

Column x of a picture W wide looks towards azimuth ((x + ½) / W − ½) · 360°: the middle is the front (0°), azimuth grows to the
right (clockwise seen from above), and the two edges meet at ±180°. A yaw ψ turns the viewer right by ψ: output column x shows
input column (x + W·ψ/360) mod W.

Everything here is a pure function of numbers, so that the same lines serve Python, numba on the CPU and numba on the GPU.
"""

import math

import numpy as np


def azimuth(column: float, width: int) -> float:
    """Azimuth in degrees, in [−180, 180), that (fractional) column `column` of a picture `width` wide looks towards."""
    return ((column + 0.5) / width - 0.5) * 360.0


def column(azimuth_degrees: float, width: int) -> float:
    """The fractional column, in [−½, width − ½), that looks towards this azimuth: the inverse of `azimuth`."""
    return ((azimuth_degrees / 360.0 + 0.5) % 1.0) * width - 0.5


def yaw_step(width: int, classes: int) -> int:
    """Columns by which one yaw class turns a picture `width` wide.

    Raises:
        ValueError: the step is no whole number of columns; interpolation blur would then betray the class.
    """
    if classes < 1 or width % classes:
        fitting = [k for k in range(2, 17) if width % k == 0]
        raise ValueError(
            f"yaw_classes={classes} does not divide the width {width} into whole columns, and blur would betray the class; "
            f"classes that fit this width: {fitting}"
        )
    return width // classes


def taps(n_in: int, n_out: int) -> int:
    """How many input pixels one output pixel is mixed from when an axis of n_in is resized to n_out (triangle filter)."""
    if n_in == n_out:
        return 1
    return 2 * math.ceil(max(1.0, n_in / n_out)) + 1


def resize_table(n_in: int, n_out: int, wrap: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and weights of an anti-aliased linear resize of one axis.

    The filter is the triangle as wide as the larger of one input and one output pixel: bilinear when enlarging, and without
    aliasing when shrinking. An axis of unchanged length gets one tap of weight one.

    Args:
        n_in, n_out: lengths of the axis before and after.
        wrap: the axis is a circle (azimuth); otherwise it ends at the edges (elevation) and weights there are renormalised.

    Returns:
        indices (n_out, taps) int32 in [0, n_in), weights (n_out, taps) float32 that sum to one in each row.
    """
    k = taps(n_in, n_out)
    if k == 1:
        return np.arange(n_in, dtype=np.int32)[:, None], np.ones((n_in, 1), np.float32)
    scale = n_in / n_out
    reach = max(1.0, scale)
    centre = (np.arange(n_out) + 0.5) * scale - 0.5
    index = np.floor(centre)[:, None].astype(np.int64) + np.arange(k)[None, :] - (k // 2)
    weight = np.maximum(0.0, 1.0 - np.abs(index - centre[:, None]) / reach)
    if wrap:
        index %= n_in
    else:
        weight[(index < 0) | (index >= n_in)] = 0.0
        index = np.clip(index, 0, n_in - 1)
    weight /= weight.sum(1, keepdims=True)
    return index.astype(np.int32), weight.astype(np.float32)


def rotation(pitch: float, roll: float) -> np.ndarray:
    """The matrix from what a tilted viewer calls a direction to what the world does, (3, 3) float64; yaw is a shift, and last.

    Directions are (front, left, up). Pitch lifts the gaze, roll leans the head to the right: first the head is leant, then it is
    lifted. So the middle of the picture looks `pitch` degrees above the horizon, and what is right of a viewer who leans to the
    right lies below the horizon.

    Args:
        pitch, roll: degrees.
    """
    p, r = math.radians(pitch), math.radians(roll)
    lift = np.array([[math.cos(p), 0.0, -math.sin(p)], [0.0, 1.0, 0.0], [math.sin(p), 0.0, math.cos(p)]])
    lean = np.array([[1.0, 0.0, 0.0], [0.0, math.cos(r), -math.sin(r)], [0.0, math.sin(r), math.cos(r)]])
    return lift @ lean


def carried(
    row: float,
    column: float,
    height: int,
    width: int,
    m00: float,
    m01: float,
    m02: float,
    m10: float,
    m11: float,
    m12: float,
    m20: float,
    m21: float,
    m22: float,
    to_height: int,
    to_width: int,
) -> tuple[float, float]:
    """Where in one picture that lies which another shows at this place: the place's direction, turned by a matrix, as a place.

    Args:
        row, column: fractional, 0 the middle of the first pixel; beyond a pole a row goes on along the meridian's other half.
        height, width: of the picture that they are of. m…: a `rotation`, row by row, applied to their direction.
        to_height, to_width: of the picture in which the place is looked for.

    Returns:
        Row in [−½, to_height − ½] and column in [−½, to_width − ½].
    """
    around = ((column + 0.5) / width - 0.5) * (2.0 * math.pi)
    up = (0.5 - (row + 0.5) / height) * math.pi
    front, left, above = math.cos(up) * math.cos(around), -math.cos(up) * math.sin(around), math.sin(up)
    x = m00 * front + m01 * left + m02 * above
    y = m10 * front + m11 * left + m12 * above
    z = m20 * front + m21 * left + m22 * above
    found_row = (0.5 - math.atan2(z, math.sqrt(x * x + y * y)) / math.pi) * to_height - 0.5
    found_column = (math.atan2(-y, x) / (2.0 * math.pi) + 0.5) * to_width - 0.5
    return found_row, found_column
