"""Turn, mirror and resize the pictures that are no light, so that they lie on the frames as `rotate` writes them: flow and classes.

First resized, then turned by whole columns, then mirrored, as in rotate.py. What a map says of a pixel must stay something that can
be said: a class is never mixed with another, and flow only with flow that is known.
"""

from functools import lru_cache

import numpy as np
from numba import njit

from dataio.format.sphere import resize_table

_SIZES = 16  # pairs of sizes whose tables are kept: a set has one, and what a hostile file claims must not fill the memory


def turn_labels(labels: np.ndarray, shift: int, mirror: bool, out: np.ndarray) -> None:
    """Class ids, or a mask, by the nearest pixel: the one in which the middle of the output pixel lies. Releases the GIL.

    Args:
        labels: (h, w) uint8.
        shift: output column x shows column (x + shift) mod W of the resized map.
        mirror: exchange left and right afterwards.
        out: (H, W) uint8, filled.

    Raises:
        ValueError: a shape or dtype is wrong; the message says which.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8 or not labels.size:
        raise ValueError(f"labels are {labels.dtype} {labels.shape}; expected uint8 (h, w)")
    if out.ndim != 2 or out.dtype != np.uint8 or not out.size:
        raise ValueError(f"out is {out.dtype} {out.shape}; expected uint8 (H, W)")
    _pick(np.ascontiguousarray(labels), shift % out.shape[1], mirror, out)


def turn_flow(flow: np.ndarray, valid: np.ndarray, shift: int, mirror: bool, out: np.ndarray) -> None:
    """Motion in pixels of the output: u is scaled by W/w and changes sign when mirrored, v is scaled by H/h. Releases the GIL.

    Resized by the triangle of `resize_table`, whose weights are renormalised over the valid pixels, so that what is known does not
    fade at its edge; 0 where none is. A vector that leads across ±180° leads as far in the turned map: it is no place.

    Args:
        flow: (h, w, 2) float32, (u, v). valid: (h, w) bool.
        shift, mirror: as in `turn_labels`.
        out: (2, H, W) float32, filled.

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
    height, width = out.shape[1:]
    flow, valid, shift = np.ascontiguousarray(flow), np.ascontiguousarray(valid), shift % width
    if size == (height, width):
        _turn_flow(flow, valid, shift, mirror, out)
    else:
        scale = np.float32(width / size[1] * (-1 if mirror else 1)), np.float32(height / size[0])
        _resize_flow(flow, valid, shift, mirror, *_tables(size, (height, width)), *scale, out)


@lru_cache(_SIZES)
def _tables(stored: tuple[int, int], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows and their weights, columns and theirs, as `resize_table` has them."""
    return *_dense(*resize_table(stored[0], size[0], wrap=False)), *_dense(*resize_table(stored[1], size[1], wrap=True))


def _dense(index: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without the taps that count for nothing: a triangle that is 2.3 pixels wide meets 3 of the 5 which a table provides for."""
    most = int((weight > 0).sum(1).max())
    first = np.argsort(weight == 0, 1, kind="stable")[:, :most]
    # an unsigned index is never counted from the end, which spares the loops a question
    return np.take_along_axis(index, first, 1).astype(np.uint32), np.take_along_axis(weight, first, 1)


@njit(nogil=True, cache=True)
def _pick(labels, shift, mirror, out):
    (h, w), (height, width) = labels.shape, out.shape
    column = np.empty(width, np.int64)  # in the input, of every output column
    for x in range(width):
        turned = (x + shift) % width
        column[width - 1 - x if mirror else x] = (2 * turned + 1) * w // (2 * width)
    for y in range(height):
        row, line = labels[(2 * y + 1) * h // (2 * height)], out[y]
        for x in range(width):
            line[x] = row[column[x]]


# Loops run from 0 over one-dimensional slices of one length, so that LLVM vectorises them: see rotate.py.


@njit(nogil=True, cache=True)
def _place(line, shift, mirror, out):
    """A row of the resized map into a row of the output."""
    keep = line.size - shift  # columns before the edge of the stored map comes up
    if mirror:
        out[shift:] = line[shift:][::-1]
        out[:shift] = line[:shift][::-1]
    else:
        out[:keep] = line[shift:]
        out[keep:] = line[:shift]


@njit(nogil=True, cache=True)
def _known(values, known, line):
    """Every second value, 0 where it is not known; what stands there may be anything, even no number."""
    for x in range(line.size):
        value = values[2 * x]
        line[x] = value if known[x] else np.float32(0)


@njit(nogil=True, cache=True)
def _turn_flow(flow, valid, shift, mirror, out):
    """Sizes are equal: every output pixel is one input pixel."""
    height, width = valid.shape
    pairs, line = flow.reshape(height, 2 * width), np.empty(width, np.float32)
    for y in range(height):
        _known(pairs[y], valid[y], line)
        if mirror:
            for x in range(width):
                line[x] = -line[x]
        _place(line, shift, mirror, out[0, y])
        _known(pairs[y, 1:], valid[y], line)
        _place(line, shift, mirror, out[1, y])


@njit(nogil=True, cache=True, fastmath=True)
def _add(mixed, values, weight):
    for x in range(mixed.size):
        mixed[x] += weight * values[x]


@njit(nogil=True, cache=True, fastmath=True)
def _across(mixed, columns, weights, u, v):
    """The columns of one row: what is gathered stays in registers, for LLVM cannot know that `u` lies elsewhere than `mixed`."""
    third = mixed.size // 3
    first, second, share = mixed[:third], mixed[third : 2 * third], mixed[2 * third :]
    for x in range(u.size):
        a, b, total = np.float32(0), np.float32(0), np.float32(0)
        for i in range(columns.shape[1]):
            weight, at = weights[x, i], columns[x, i]
            a += weight * first[at]
            b += weight * second[at]
            total += weight * share[at]
        scale = np.float32(1) / total if total > 0 else np.float32(0)
        u[x], v[x] = a * scale, b * scale


@njit(nogil=True, cache=True, fastmath=True)
def _resize_flow(flow, valid, shift, mirror, rows, row_weights, columns, column_weights, scale_u, scale_v, out):
    """Separable, as in rotate.py: weighted sums of u, of v and of the weights themselves; their quotient at the end."""
    height_in, width_in = valid.shape
    height, width = out.shape[1:]
    pairs = flow.reshape(height_in, 2 * width_in)
    known = np.empty((height_in, 3 * width_in), np.float32)  # of every row u, v, and 1 where they are known
    for y in range(height_in):
        _known(pairs[y], valid[y], known[y, :width_in])
        _known(pairs[y, 1:], valid[y], known[y, width_in : 2 * width_in])
        known[y, 2 * width_in :] = valid[y]
    mixed = np.empty(3 * width_in, np.float32)
    u, v = np.empty(width, np.float32), np.empty(width, np.float32)
    for y in range(height):
        mixed[:] = 0
        for j in range(rows.shape[1]):
            if row_weights[y, j] != 0:
                _add(mixed, known[rows[y, j]], row_weights[y, j])
        _across(mixed, columns, column_weights, u, v)
        for x in range(width):
            u[x] *= scale_u
        for x in range(width):
            v[x] *= scale_v
        _place(u, shift, mirror, out[0, y])
        _place(v, shift, mirror, out[1, y])
