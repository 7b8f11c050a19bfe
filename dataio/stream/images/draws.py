"""The random numbers of a view: crop, jitter, grey, blur, mirror. Pure functions of (seed, epoch, clip, view).

They follow torchvision's RandomResizedCrop, ColorJitter, RandomGrayscale, GaussianBlur and RandomHorizontalFlip. What a view gets
depends neither on how many views there are, nor on the batch; among several sets, a set's own epoch and ids count.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numba import njit

from dataio.stream.images.spec import ViewSpec
from dataio.stream.order.random import draw, key

TRIES = 10
"""Crops that are drawn before the middle is taken, as in torchvision."""

ORDERS = np.array(list(permutations(range(4))), np.int64)
"""(24, 4): every order of brightness, contrast, saturation and hue; ColorJitter takes a random one for every picture."""

_CROP = 4 * TRIES  # numbers of a view: four a try, then those below
_APPLY, _ORDER, _FACTORS, _GREY, _BLUR, _SIGMA, _FLIP = _CROP, _CROP + 1, _CROP + 2, _CROP + 6, _CROP + 7, _CROP + 8, _CROP + 9
_COUNT = _CROP + 10
_VIEW_BITS, _NUMBER_BITS = 8, 8


@dataclass(frozen=True)
class Draws:
    """What was drawn for V views of n pictures.

    tries: (n, V, TRIES, 4) float64, of each crop: its share of the area, its ratio, and where it lies in what is left (0 … 1, down
        and right).
    order: (n, V, 4) int64, of the jitter's steps. factors: (n, V, 4) float32, of brightness, contrast, saturation and hue; 1, 1,
        1, 0 for none.
    grey, flip: (n, V) bool. sigma: (n, V) float64, 0 for no blur.
    """

    tries: np.ndarray
    order: np.ndarray
    factors: np.ndarray
    grey: np.ndarray
    sigma: np.ndarray
    flip: np.ndarray

    def row(self, i: int) -> "Draws":
        """The views of one picture, as n = 1."""
        return Draws(*(getattr(self, name)[i : i + 1] for name in self.__dataclass_fields__))


def choose(spec: ViewSpec, seed: int, epochs: int | np.ndarray, clips: np.ndarray) -> Draws:
    """Draw for these clips of one set.

    Args:
        epochs: (n,) of the set, or one for all. clips: (n,) ids within the set, below 2⁴⁸.
    """
    numbers, at = np.unique(epochs, return_inverse=True)
    at = np.broadcast_to(at.reshape(np.shape(epochs)), len(clips))  # a batch may end one epoch of its set and begin the next
    streams = np.array([key(seed, epoch, "views") for epoch in numbers.tolist()], np.uint64)[at]
    views = np.arange(spec.views)[:, None] << _NUMBER_BITS | np.arange(_COUNT)
    ids = np.asarray(clips, np.int64)[:, None, None] << (_VIEW_BITS + _NUMBER_BITS) | views
    u = (draw(streams[:, None, None], ids) >> np.uint64(11)) * 2.0**-53  # [0, 1), every multiple of 2⁻⁵³ as likely

    tries = u[..., :_CROP].reshape(*u.shape[:2], TRIES, 4)
    low, high = np.log(spec.ratio)
    tries[..., 0] = spec.scale[0] + tries[..., 0] * (spec.scale[1] - spec.scale[0])
    tries[..., 1] = np.exp(low + tries[..., 1] * (high - low))
    spread = np.array(spec.jitter)
    factors = _NONE + (2 * u[..., _FACTORS : _FACTORS + 4] - 1) * spread
    jittered = u[..., _APPLY] < spec.jitter_p
    sigma = spec.blur[0] + u[..., _SIGMA] * (spec.blur[1] - spec.blur[0])
    return Draws(
        tries=tries,
        order=ORDERS[(u[..., _ORDER] * len(ORDERS)).astype(np.int64)],
        factors=np.where(jittered[..., None], factors, _NONE).astype(np.float32),
        grey=u[..., _GREY] < spec.grey_p,
        sigma=np.where(u[..., _BLUR] < spec.blur_p, sigma, 0.0),
        flip=u[..., _FLIP] < spec.flip_p,
    )


_NONE = np.array([1.0, 1.0, 1.0, 0.0])  # factors that change nothing


def boxes(spec: ViewSpec, draws: Draws, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Crops of pictures of these sizes, in pixels: (n, V, 4) int64, top, left, height and width of each.

    The first try that fits, or else the largest middle piece whose ratio is allowed.
    """
    out = np.empty((*draws.tries.shape[:2], 4), np.int64)
    _boxes(draws.tries, np.asarray(heights, np.int64), np.asarray(widths, np.int64), spec.ratio[0], spec.ratio[1], out)
    return out


@njit(nogil=True, cache=True)
def _boxes(tries, heights, widths, low, high, out):
    for i in range(out.shape[0]):
        height, width = heights[i], widths[i]
        for v in range(out.shape[1]):
            h, w = 0, 0
            for t in range(tries.shape[2]):
                area, ratio = tries[i, v, t, 0] * height * width, tries[i, v, t, 1]
                w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
                if 0 < w <= width and 0 < h <= height:
                    out[i, v, 0] = np.int64(tries[i, v, t, 2] * (height - h + 1))
                    out[i, v, 1] = np.int64(tries[i, v, t, 3] * (width - w + 1))
                    break
            else:
                h, w = height, width
                if width < low * height:
                    h = round(width / low)
                elif width > high * height:
                    w = round(height * high)
                h, w = max(h, 1), max(w, 1)
                out[i, v, 0], out[i, v, 1] = (height - h) // 2, (width - w) // 2
            out[i, v, 2], out[i, v, 3] = h, w
