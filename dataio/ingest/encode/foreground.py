"""Which pixels of a clip's frame show something that moves before a standing scene.

Pictures are equirectangular; everything wraps around in azimuth, so that there is no seam at ±180°.
"""

from collections import deque
from collections.abc import Sequence
from functools import cache, reduce
from typing import Any

import numpy as np

from dataio.ingest.encode.motion import SMALLEST, elevations, flow_of, opencv, search, squared

MEMORY = 9
"""Clips of which the background is the median: what stays for half of them belongs to it."""

_CLIP = 9  # at most so many frames of a clip are looked at
_WIDEST = 1024  # columns of the pictures in which foreground is looked for: wider ones are shrunk, which bounds memory too
_DIFFERENCE = 20  # grey levels, in one colour at least, between foreground and the background within a pixel's distance
_CHANGE = 22  # grey levels by which a pixel that something moved over changes within the clip
_MOVED = 0.03  # least part of a piece of foreground that changes within the clip: what merely stands there is none
_SPECK = 4e-4  # least part of the sphere that a piece covers: 33 pixels on the horizon of 256x512
_FEW = 0.01  # part of the picture: while less of it differs from the background, or shows anything, the camera stands still
_SHIFT = 0.75  # pixels by which a camera must have moved, in the median of what the background shows, to have moved
_SLOPE = 3.0  # grey levels per four pixels: where a background is flatter it shows nothing
_APART = 1.5, 4.0  # flow is not the camera's own if it differs by so many pixels, and so many times the usual misfit


class MovingForeground:
    """Masks of what moves, clip by clip of one recording in order; the state is `MEMORY` small pictures, however long it is.

    The background is the median of the last clips' medians, brought to the brightness of the frame in question. Foreground are the
    pieces of the picture that differ from it and in which something changes within the clip: neither what was parked a while ago,
    nor the place that a parked thing has left. What stands still for more than half of the memory sinks into the background.

    A camera that was moved starts with a new memory. While it is being moved nothing stands, and foreground is where flow differs
    from the smooth field that the camera's own motion makes: coarser, and blind to what moves along with the surroundings.

    A mask depends on its clip and those before it alone. The first clips know little background: what crosses its own length within
    a second is found from the first clip on, slower things only after some clips.
    """

    def __init__(self) -> None:
        self._past: deque[np.ndarray] = deque(maxlen=MEMORY)
        self._shape: tuple[int, ...] | None = None

    def update(self, frames: Sequence[np.ndarray], at: int) -> np.ndarray:
        """The mask of frame `at` of the next clip: (H, W) uint8, 255 where something moves, 0 elsewhere.

        Args:
            frames: the clip's stored frames, (H, W, 3) uint8 RGB each, of one size in the whole recording; they are not kept.
            at: index of the frame, `flow_frames(len(frames))[0]` for the one that flow starts from.

        Raises:
            ValueError: the frames are not of one size or too small, fewer than two, or there is no frame `at`.
        """
        self._check(frames, at)
        height, width = frames[0].shape[:2]
        with opencv() as cv2:
            clip, shown = _looked_at(cv2, frames, at)
            self._past.append(_median(cv2, clip))
            differs, shifted = _compared(cv2, shown, _median(cv2, list(self._past)))
            if shifted and len(self._past) > 1:
                last = self._past[-1]
                self._past.clear()
                self._past.append(last)
                differs, shifted = _compared(cv2, shown, last)
            if shifted:
                neighbour = _fitted(cv2, frames[at + 1 if at + 1 < len(frames) else at - 1])
                moves = _apart(*flow_of(cv2, shown, neighbour))
                mask = _pieces(cv2, _smoothed(cv2, moves), moves)
            else:
                same = [_gained(cv2, frame, shown) for frame in clip]
                change = cv2.subtract(reduce(cv2.max, same), reduce(cv2.min, same))
                mask = _pieces(cv2, _smoothed(cv2, differs), differs & (_largest(cv2, change) > _CHANGE))
            if mask.shape != (height, width):
                mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        return mask

    def _check(self, frames: Sequence[np.ndarray], at: int) -> None:
        if len(frames) < 2 or not 0 <= at < len(frames):
            raise ValueError(f"a mask needs a clip of two frames or more and is of one of them, not of frame {at} of {len(frames)}")
        shape = self._shape or frames[0].shape
        for frame in frames:
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != shape:
                raise ValueError(f"frames must be (H, W, 3) uint8 of one size, not {frame.dtype} {frame.shape} and {shape}")
        if min(shape[:2]) < SMALLEST:
            raise ValueError(f"a mask needs pictures of {SMALLEST} pixels a side or more, not {shape[0]}x{shape[1]}")
        self._shape = shape


def _compared(cv2: Any, shown: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, bool]:
    """Where a frame differs from its background: (H, W) bool; and whether that is because the camera has moved.

    It has where most of what the background shows lies elsewhere in the frame. What shows nothing is left out: noise alone makes
    flow of any length.
    """
    background = _gained(cv2, background, shown)
    differs = _differs(cv2, shown, background)
    if differs.mean() < _FEW:
        return differs, False
    found = search(cv2, background, shown, cv2.DISOPTICAL_FLOW_PRESET_FAST)
    size = shown.shape[1] // 4, shown.shape[0] // 4
    small, moved = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (background, found))
    light = small.mean(2)
    slope = np.hypot(np.roll(light, -1, 1) - np.roll(light, 1, 1), np.gradient(light, axis=0) * 2) / 2
    telling = (slope > _SLOPE) & (np.abs(elevations(size[1])) < 60.0)[:, None]
    return differs, bool(telling.mean() > _FEW and np.median(squared(moved[telling])) > _SHIFT**2)


def _apart(flow: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Where flow is not the camera's own: (H, W) bool. That is taken to be smooth, up to two waves around the horizon.

    Fitted by weighted least squares with the weights of Cauchy, so that what moves by itself counts little.
    """
    height, width = flow.shape[:2]
    elevation = np.radians(elevations(height))
    azimuth = (np.arange(width) + 0.5) / width * 2 * np.pi
    down = np.stack([elevation**0, elevation, elevation**2], 1)
    across = np.stack([azimuth**0, *(wave(k * azimuth) for k in (1, 2) for wave in (np.cos, np.sin))], 1)
    step = max(1, min(height, width) // 32)
    rows, columns = slice(step // 2, None, step), slice(step // 2, None, step)
    # einsum, not BLAS, whose sums depend on the number of threads
    terms = np.einsum("hp,wq->hwpq", down[rows], across[columns]).reshape(-1, down.shape[1] * across.shape[1])
    seen = flow[rows, columns].reshape(-1, 2).astype(np.float64)
    known = (valid[rows, columns] * np.cos(elevation[rows])[:, None]).ravel()
    usual, weights = 0.0, known
    for _ in range(6):
        normal = np.einsum("ni,n,nj->ij", terms, weights, terms) + 1e-3 * np.eye(terms.shape[1])
        fit = np.linalg.solve(normal, np.einsum("ni,n,nd->id", terms, weights, seen))
        misfit = np.sqrt(np.square(seen - np.einsum("ni,id->nd", terms, fit)).sum(1))
        usual = float(np.median(misfit[known > 0])) if (known > 0).any() else 0.0
        weights = known / (1.0 + np.square(misfit / (2.0 * max(usual, 0.2))))
    field = np.einsum("hqd,wq->hwd", np.einsum("hp,pqd->hqd", down, fit.reshape(down.shape[1], across.shape[1], 2)), across)
    return valid & (squared(flow - field) > max(_APART[0], _APART[1] * usual) ** 2)


def _looked_at(cv2: Any, frames: Sequence[np.ndarray], at: int) -> tuple[list[np.ndarray], np.ndarray]:
    """At most `_CLIP` frames, evenly from first to last, and frame `at`, all of them at most `_WIDEST` wide."""
    chosen = sorted({round(i * (len(frames) - 1) / (_CLIP - 1)) for i in range(_CLIP)})
    small = {i: _fitted(cv2, frames[i]) for i in {*chosen, at}}
    return [small[i] for i in chosen], small[at]


def _fitted(cv2: Any, frame: np.ndarray) -> np.ndarray:
    """The frame at most `_WIDEST` wide."""
    height, width = frame.shape[:2]
    if width <= _WIDEST:
        return np.ascontiguousarray(frame)
    return cv2.resize(frame, (_WIDEST, max(SMALLEST, round(height * _WIDEST / width))), interpolation=cv2.INTER_AREA)


def _median(cv2: Any, pictures: list[np.ndarray]) -> np.ndarray:
    """The median of each pixel and colour; of an even number, the mean of the middle two. Exchanges whole pictures at once."""
    ordered = list(pictures)
    for i, j in _exchanges(len(ordered)):
        ordered[i], ordered[j] = cv2.min(ordered[i], ordered[j]), cv2.max(ordered[i], ordered[j])
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low is high else cv2.addWeighted(low, 0.5, high, 0.5, 0.0)


@cache
def _exchanges(count: int) -> tuple[tuple[int, int], ...]:
    """Pairs (i, j), i < j, whose exchange, in this order, sorts `count` values: Batcher's merge exchange (Knuth 5.2.2 M)."""
    pairs = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    p = top if count > 1 else 0
    while p:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(count - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    return tuple(pairs)


def _gained(cv2: Any, picture: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The picture as bright as another of the same scene: multiplied by the median of their quotients, so that no object counts."""
    a, b = (p[4::8, 4::8].astype(np.float32).sum(2) for p in (picture, like))
    lit = a > 48.0
    gain = float(np.median(b[lit] / a[lit])) if lit.any() else 1.0
    return cv2.convertScaleAbs(picture, alpha=min(2.0, max(0.5, gain)))


def _differs(cv2: Any, shown: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Where the frame is brighter or darker than all of the background within a pixel, which lets edges tremble: (H, W) bool."""
    wide = cv2.copyMakeBorder(background, 0, 0, 1, 1, cv2.BORDER_WRAP)
    near = np.ones((3, 3), np.uint8)
    low, high = (np.ascontiguousarray(op(wide, near)[:, 1:-1]) for op in (cv2.erode, cv2.dilate))
    return _largest(cv2, cv2.max(cv2.subtract(shown, high), cv2.subtract(low, shown))) > _DIFFERENCE


def _largest(cv2: Any, picture: np.ndarray) -> np.ndarray:
    """The largest of the three colours: (H, W) uint8."""
    red, green, blue = cv2.split(picture)
    return cv2.max(cv2.max(red, green), blue)


def _smoothed(cv2: Any, mask: np.ndarray) -> np.ndarray:
    """Without threads and dots thinner than three pixels, and with holes and gaps of up to four closed: (H, W) uint8 0 or 255."""
    edge = 8
    wide = cv2.copyMakeBorder(mask.view(np.uint8) * 255, 0, 0, edge, edge, cv2.BORDER_WRAP)
    opened = cv2.morphologyEx(wide, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    return np.ascontiguousarray(closed[:, edge:-edge])


def _pieces(cv2: Any, mask: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """The connected pieces of a mask that are large enough on the sphere, and of which enough moves; pieces go across the edge."""
    height, width = mask.shape
    # twice side by side, a piece that the edge cuts is whole around the middle
    count, labels = cv2.connectedComponents(np.hstack([mask, mask]), connectivity=8)
    belt = np.cos(np.radians(elevations(height)))[:, None]
    area = np.bincount(labels.ravel(), np.broadcast_to(belt, labels.shape).ravel(), count)
    moved = np.bincount(labels.ravel(), (belt * np.hstack([moves, moves])).ravel(), count)
    left, right = labels[:, :width], labels[:, width:]
    whole = np.where(area[left] >= area[right], left, right)
    keep = (area >= _SPECK * height * width * 2 / np.pi) & (moved >= _MOVED * area)
    keep[0] = False
    return keep[whole].astype(np.uint8) * 255
