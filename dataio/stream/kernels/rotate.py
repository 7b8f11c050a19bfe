"""Turn, resize, normalise and lay out frames on the CPU, in one pass over the pixels: uint8 FHWC → float32 CFHW.

Turning is a circular shift of whole output columns, so it is exact, has no seam, and leaves nothing that would betray the angle.
"""

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from dataio.format.sphere import resize_table
from dataio.stream.kernels import lanes, pixels, pixels_resize
from dataio.stream.kernels.lanes import LANES
from dataio.stream.kernels.pixels import CHANNELS, turn_row
from dataio.stream.kernels.pixels_resize import ROWS, deal_rows, mix_columns, mix_row

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

    @cached_property
    def neighbours(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The tables for kernels that take neighbouring pixels: first row (height,) int64, weights (height · taps,) float32, and
        the same for columns, whose last taps may lie beyond the width and mean the first columns.
        """
        return *_neighbours(self.rows, self.row_weights, self.stored[0]), *_neighbours(self.columns, self.column_weights, None)


def _neighbours(index: np.ndarray, weight: np.ndarray, end: int | None) -> tuple[np.ndarray, np.ndarray]:
    """A table without the taps of weight zero on either side, equally many for every pixel, none of which reaches `end`."""
    lead, count = (weight != 0).argmax(1), (weight != 0).sum(1)
    taps = int(count.max())
    start = np.take_along_axis(index, lead[:, None], 1)[:, 0].astype(np.int64)
    first = start if end is None else np.minimum(start, end - taps)
    near = np.zeros((len(index), taps), np.float32)
    for i, skip in enumerate(start - first):
        near[i, skip : skip + count[i]] = weight[i, lead[i] : lead[i] + count[i]]
    return first, near.reshape(-1)


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
        out: (3, F, height, width) float32, C-contiguous, filled.

    Raises:
        ValueError: a shape or dtype is wrong, or `out` is not contiguous; the message says which.
    """
    f = len(frames)
    if frames.shape != (f, *resize.stored, 3) or frames.dtype != np.uint8:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}; expected uint8 {(f, *resize.stored, 3)}")
    if out.shape != (3, f, *resize.size):
        raise ValueError(f"out is {out.dtype} {out.shape}; expected float32 {(3, f, *resize.size)}")
    for i, picture in enumerate(frames):
        rotate_one(picture, i, shift, mirror, resize, out)


def rotate_one(picture: np.ndarray, f: int, shift: int, mirror: bool, resize: Resize, out: np.ndarray) -> None:
    """The same for one picture, (H, W, 3) uint8, as frame f of `out`: best called while the picture is still in the cache.

    Raises:
        ValueError: as `rotate`; or there is no frame f.
    """
    if picture.shape != (*resize.stored, 3) or picture.dtype != np.uint8:
        raise ValueError(f"picture is {picture.dtype} {picture.shape}; expected uint8 {(*resize.stored, 3)}")
    if out.ndim != 4 or out.shape != (3, out.shape[1], *resize.size) or out.dtype != np.float32:
        raise ValueError(f"out is {out.dtype} {out.shape}; expected float32 (3, F, {resize.size[0]}, {resize.size[1]})")
    if not out.flags.c_contiguous:
        raise ValueError(f"out of shape {out.shape} is not contiguous; expected C order")
    if not 0 <= f < out.shape[1]:
        raise ValueError(f"f={f}: out holds frames 0 to {out.shape[1] - 1}")
    shift %= resize.size[1]
    flat = np.ascontiguousarray(picture).reshape(-1)
    flat.flags.writeable = False  # one numba signature, whether the caller's pixels are read-only or not
    if resize.stored == resize.size:
        _turn(flat, f, shift, mirror, resize.gain, resize.bias, out)
    else:
        _resize(flat, resize.stored[1], *resize.neighbours, f, shift, mirror, resize.gain, resize.bias, out)


def _compiled(revision: int) -> Any:
    """The kernels, cached on disk by `revision`: numba itself notices changes of this file, not of the vector code they call."""

    @njit(nogil=True, cache=True)
    def turn(picture: Any, f: int, shift: int, mirror: bool, gain: Any, bias: Any, out: Any) -> None:
        """Sizes are equal: every output pixel is one input pixel."""
        assert revision  # only so that numba's cache keys the kernel by it
        _, frames, height, width = out.shape
        lines = np.empty(CHANNELS * max(width, LANES), np.float32)
        target, plane = out.reshape(-1), frames * height * width
        for y in range(height):
            to = (f * height + y) * width
            turn_row(picture, CHANNELS * width * y, width, shift, mirror, gain, bias, lines, target, to, plane)

    @njit(nogil=True, cache=True)
    def resize(
        picture: Any,
        stored_width: int,
        rows: Any,
        row_weights: Any,
        columns: Any,
        column_weights: Any,
        f: int,
        shift: int,
        mirror: bool,
        gain: Any,
        bias: Any,
        out: Any,
    ) -> None:
        """Separable: four output rows are mixed from their input rows, then their columns from those of that mixture."""
        assert revision
        _, frames, height, width = out.shape
        target, plane = out.reshape(-1), frames * height * width
        row_taps, column_taps = row_weights.size // height, column_weights.size // width
        mixed = np.zeros(LANES * (stored_width + column_taps), np.float32)
        line = np.zeros(LANES * max(width, LANES), np.float32)
        lines = np.empty(ROWS * CHANNELS * max(width, LANES), np.float32)
        for block in range(0, height, ROWS):
            top = max(min(block, height - ROWS), 0)  # the last block overlaps another
            count = min(ROWS, height)
            for r in range(count):
                start = CHANNELS * stored_width * rows[top + r]
                mix_row(picture, start, stored_width, row_weights, row_taps * (top + r), row_taps, mixed, r)
            for i in range(LANES * column_taps):
                mixed[LANES * stored_width + i] = mixed[i]
            mix_columns(mixed, columns, column_weights, width, shift, mirror, line)
            deal_rows(line, width, gain, bias, lines, target, (f * height + top) * width, count, plane)

    return turn, resize


_SOURCES = b"".join(Path(module.__file__ or "").read_bytes() for module in (lanes, pixels, pixels_resize))
_turn, _resize = _compiled(zlib.crc32(_SOURCES) | 1)
