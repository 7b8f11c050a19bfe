"""The views of one picture on the CPU: cropped and resized by torch, whose kernel for that is exact and fast, coloured by ours."""

import threading

import numpy as np
import torch

from dataio.stream.images.blur import blur, kernel
from dataio.stream.images.colour import colour
from dataio.stream.images.crop import middle
from dataio.stream.images.draws import Draws, boxes
from dataio.stream.images.spec import ViewSpec

_AS_THEY_ARE = np.arange(4), np.array([1, 1, 1, 0], np.float32)


def scaling(spec: ViewSpec) -> tuple[np.ndarray, np.ndarray]:
    """Gain and bias of the channels, (3,) float32 each: a view is level · gain + bias."""
    std, mean = np.array(spec.std), np.array(spec.mean)
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)


class Views:
    """Writes views. Safe to use from several threads, which run side by side: nearly all of it is without the GIL."""

    def __init__(self, spec: ViewSpec) -> None:
        self._spec = spec
        self._gain, self._bias = scaling(spec)
        self._local = threading.local()

    def write(self, picture: np.ndarray, draws: Draws, out: list[np.ndarray]) -> None:
        """Write the views of one picture.

        Args:
            picture: (H, W, 3) uint8.
            draws: of this picture alone, n = 1; unused without augmentation.
            out: of every view, (3, size, size) float32, filled.
        """
        spec, (height, width) = self._spec, picture.shape[:2]
        if not spec.augment:
            part = middle(height, width, spec.short, spec.size)
            resized = _resize(picture, part.box, part.size)[part.top :, part.left :][: spec.size, : spec.size]
            colour(np.ascontiguousarray(resized), *_AS_THEY_ARE, False, False, self._gain, self._bias, out[0])
            return
        crops = boxes(spec, draws, np.array([height]), np.array([width]))[0].tolist()
        for v, (box, target) in enumerate(zip(crops, out, strict=True)):
            resized = _resize(picture, box, (spec.size, spec.size))
            grey, flip = bool(draws.grey[0, v]), bool(draws.flip[0, v])
            colour(resized, draws.order[0, v], draws.factors[0, v], grey, flip, self._gain, self._bias, target)
            if draws.sigma[0, v]:  # of what is normalised already: a kernel that sums to one commutes with that
                blur(target, kernel(draws.sigma[0, v]), self._plane())

    def _plane(self) -> np.ndarray:
        if not hasattr(self._local, "plane"):
            self._local.plane = np.empty((self._spec.size, self._spec.size), np.float32)
        return self._local.plane


def _resize(picture: np.ndarray, box: tuple[int, int, int, int] | list[int], size: tuple[int, int]) -> np.ndarray:
    """A part (top, left, height, width) of a picture, resized, anti-aliased and rounded: bit for bit what torchvision does."""
    top, left, height, width = box
    part = torch.from_numpy(np.ascontiguousarray(picture[top : top + height, left : left + width]))
    # of a batch of one, torch guesses the layout from the first stride, and would otherwise take the picture for planes
    pixels = part.as_strided((1, 3, height, width), (3 * height * width, 1, 3 * width, 3))
    resized = torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).contiguous().numpy()
