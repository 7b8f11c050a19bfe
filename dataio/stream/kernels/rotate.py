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
    return Resize(stored, size, rows, row_weights, columns, column_weights, gain.astype(np.float32), bias.astype(np.float32))


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


# Loops run from 0 over slices whose length they take from the output: then LLVM knows that no index is negative, and vectorises
# the walk over every third byte. With offsets inside the index, the same loop is three times slower.


@njit(nogil=True, cache=True, fastmath=True)
def _level(pixels, gain, bias, line):
    """Every third byte of `pixels`, scaled, into `line`."""
    for x in range(line.size):
        line[x] = pixels[3 * x] * gain + bias


@njit(nogil=True, cache=True, fastmath=True)
def _level_back(pixels, gain, bias, line):
    """The same, from the last pixel to the first."""
    last = 3 * (line.size - 1)
    for x in range(line.size):
        line[x] = pixels[last - 3 * x] * gain + bias


@njit(nogil=True, cache=True, fastmath=True)
def _turn(frames, shift, mirror, gain, bias, out):
    """Sizes are equal: every output pixel is one input pixel. A row stays in L1 while it is read for its three channels."""
    count, height, width, _ = frames.shape
    rows = frames.reshape(count, height, 3 * width)
    keep = width - shift  # columns before the edge of the stored picture comes up
    for f in range(count):
        for y in range(height):
            row = rows[f, y]
            for c in range(3):
                line = out[c, f, y]
                if mirror:
                    _level_back(row[3 * shift + c :], gain[c], bias[c], line[shift:])
                    _level_back(row[c:], gain[c], bias[c], line[:shift])
                else:
                    _level(row[3 * shift + c :], gain[c], bias[c], line[:keep])
                    _level(row[c:], gain[c], bias[c], line[keep:])


@njit(nogil=True, cache=True, fastmath=True)
def _add(mixed, row, weight):
    for x in range(mixed.size):
        mixed[x] += weight * row[x]


@njit(nogil=True, cache=True, fastmath=True)
def _resize_turn(frames, shift, mirror, rows, row_weights, columns, column_weights, gain, bias, out):
    """Separable: an output row is mixed from its input rows, contiguous and in L1, then its columns are gathered from that."""
    count, stored_height, stored_width, _ = frames.shape
    pictures = frames.reshape(count, stored_height, 3 * stored_width)
    height, width = out.shape[2:]
    mixed = np.empty(3 * stored_width, np.float32)
    for f in range(count):
        for y in range(height):
            mixed[:] = 0
            for j in range(rows.shape[1]):
                if row_weights[y, j] != 0:
                    _add(mixed, pictures[f, rows[y, j]], row_weights[y, j])
            for x in range(width):
                source = x + shift - (width if x + shift >= width else 0)
                r, g, b = np.float32(0), np.float32(0), np.float32(0)
                for i in range(columns.shape[1]):
                    weight, at = column_weights[source, i], 3 * columns[source, i]
                    r += weight * mixed[at]
                    g += weight * mixed[at + 1]
                    b += weight * mixed[at + 2]
                to = width - 1 - x if mirror else x
                out[0, f, y, to] = r * gain[0] + bias[0]
                out[1, f, y, to] = g * gain[1] + bias[1]
                out[2, f, y, to] = b * gain[2] + bias[2]
