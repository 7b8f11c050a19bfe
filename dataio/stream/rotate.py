"""Turn, resize, normalise and lay out frames on the CPU, in one pass over the pixels: uint8 FHWC → float32 CFHW.

Turning is a circular shift of whole output columns, so it is exact, has no seam, and leaves nothing that would betray the angle.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from dataio.format.sphere import resize_table

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's RGB in [0, 1], which torchvision's pretrained models expect."""


@dataclass(frozen=True)
class Resize:
    """How pictures of one size become pictures of another, and how their levels are scaled: level · gain + bias, a channel each.

    rows, columns: input pixels of every output pixel, (n, taps) int32; row_weights, column_weights: (n, taps) float32.
    """

    stored: tuple[int, int]
    size: tuple[int, int]
    rows: np.ndarray
    row_weights: np.ndarray
    columns: np.ndarray
    column_weights: np.ndarray
    gain: np.ndarray
    bias: np.ndarray


def plan(stored: tuple[int, int], size: tuple[int, int]) -> Resize:
    """From (height, width) as stored to (height, width) as asked for: anti-aliased, azimuth as a circle, normalised as ImageNet."""
    rows, row_weights = resize_table(stored[0], size[0], wrap=False)
    columns, column_weights = resize_table(stored[1], size[1], wrap=True)
    std, mean = np.array(STD), np.array(MEAN)
    gain, bias = 1 / (255 * std), -mean / std
    return Resize(
        stored, size, rows, row_weights, columns, column_weights, gain.astype(np.float32), bias.astype(np.float32)
    )


def rotate(frames: np.ndarray, shift: int, mirror: bool, resize: Resize, out: np.ndarray) -> None:
    """Write the frames of one clip as the batch wants them. Releases the GIL.

    Args:
        frames: (F, H, W, 3) uint8 of the stored size.
        shift: output column x shows column (x + shift) mod width of the resized picture.
        mirror: exchange left and right afterwards.
        out: (3, F, height, width) float32, filled.

    Raises:
        ValueError: a shape or dtype is wrong; the message says which.
    """
    f = len(frames)
    if frames.shape != (f, *resize.stored, 3) or frames.dtype != np.uint8:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}; expected uint8 {(f, *resize.stored, 3)}")
    if out.shape != (3, f, *resize.size) or out.dtype != np.float32:
        raise ValueError(f"out is {out.dtype} {out.shape}; expected float32 {(3, f, *resize.size)}")
    shift %= resize.size[1]
    if resize.stored == resize.size:
        _turn(frames, shift, mirror, resize.gain, resize.bias, out)
    else:
        r = resize
        _resize_turn(frames, shift, mirror, r.rows, r.row_weights, r.columns, r.column_weights, r.gain, r.bias, out)


@njit(nogil=True, cache=True, fastmath=True)
def _turn(frames, shift, mirror, gain, bias, out):
    """Sizes are equal: every output pixel is one input pixel. Row by row, so that the row read three times stays in L1."""
    f_count, height, width, _ = frames.shape
    for f in range(f_count):
        for y in range(height):
            row = frames[f, y]
            for c in range(3):
                g, b, line = gain[c], bias[c], out[c, f, y]
                if mirror:
                    for x in range(width - shift):
                        line[width - 1 - x] = row[x + shift, c] * g + b
                    for x in range(width - shift, width):
                        line[width - 1 - x] = row[x + shift - width, c] * g + b
                else:
                    for x in range(width - shift):
                        line[x] = row[x + shift, c] * g + b
                    for x in range(width - shift, width):
                        line[x] = row[x + shift - width, c] * g + b


@njit(nogil=True, cache=True, fastmath=True)
def _resize_turn(frames, shift, mirror, rows, row_weights, columns, column_weights, gain, bias, out):
    """Separable: an output row is first mixed from its input rows, contiguous and in L1, then its columns are gathered from that."""
    f_count, _, stored, _ = frames.shape
    height, width = out.shape[2:]
    mixed = np.empty((stored, 3), np.float32)
    for f in range(f_count):
        for y in range(height):
            mixed[:] = 0
            for j in range(rows.shape[1]):
                w = row_weights[y, j]
                if w != 0:
                    line = frames[f, rows[y, j]]
                    for x in range(stored):
                        for c in range(3):
                            mixed[x, c] += w * line[x, c]
            for x in range(width):
                source = x + shift - (width if x + shift >= width else 0)
                r, g, b = np.float32(0), np.float32(0), np.float32(0)
                for i in range(columns.shape[1]):
                    w, at = column_weights[source, i], columns[source, i]
                    r += w * mixed[at, 0]
                    g += w * mixed[at, 1]
                    b += w * mixed[at, 2]
                to = width - 1 - x if mirror else x
                out[0, f, y, to] = r * gain[0] + bias[0]
                out[1, f, y, to] = g * gain[1] + bias[1]
                out[2, f, y, to] = b * gain[2] + bias[2]
