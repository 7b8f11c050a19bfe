"""How the viewer of one clip stands, and what that makes of its pictures: level they are turned by columns, tilted looked up."""

import numpy as np

from dataio.stream.kernels import rotate
from dataio.stream.kernels.rotate import Resize

Tilt = tuple[float, float]
"""Pitch and roll in degrees."""


class Turner:
    """Writes the pictures and maps of one clip. For one thread: it keeps the map of the size that it met last.

    Args:
        shift, mirror: as in `rotate`. tilt: None to stay level, which costs nothing and mixes nothing.
    """

    def __init__(self, shift: int, mirror: bool, tilt: Tilt | None) -> None:
        self._shift, self._mirror, self._tilt = shift, mirror, tilt
        self._met: tuple[object, object] = (None, None)

    def write(self, picture: np.ndarray, f: int, resize: Resize, out: np.ndarray) -> None:
        """As `rotate.rotate_one`.

        Raises:
            ValueError: a shape or dtype is wrong; the message says which.
        """
        if self._tilt is None:
            rotate.rotate_one(picture, f, self._shift, self._mirror, resize, out)
            return
        from dataio.stream.kernels import tilt

        sizes = resize.stored, resize.size
        if self._met[0] != sizes:
            self._met = sizes, tilt.places(*sizes, tilt.Turn(self._shift, self._mirror, *self._tilt))
        assert isinstance(self._met[1], tilt.Places)
        tilt.rotate_one(picture, f, self._met[1], resize, out)

    def labels(self, labels: np.ndarray, out: np.ndarray) -> None:
        """As `maps.turn_labels`.

        Raises:
            ValueError: a shape or dtype is wrong; the message says which.
        """
        from dataio.stream.kernels import maps, tilt, tilt_maps

        if self._tilt is None:
            maps.turn_labels(labels, self._shift, self._mirror, out)
        else:
            tilt_maps.turn_labels(labels, tilt.Turn(self._shift, self._mirror, *self._tilt), out)

    def flow(self, flow: np.ndarray, valid: np.ndarray, out: np.ndarray) -> None:
        """As `maps.turn_flow`.

        Raises:
            ValueError: a shape or dtype is wrong; the message says which.
        """
        from dataio.stream.kernels import maps, tilt, tilt_maps

        if self._tilt is None:
            maps.turn_flow(flow, valid, self._shift, self._mirror, out)
        else:
            tilt_maps.turn_flow(flow, valid, tilt.Turn(self._shift, self._mirror, *self._tilt), out)
