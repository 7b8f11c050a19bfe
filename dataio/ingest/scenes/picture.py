"""The picture of a scene at a time, and the class of each of its pixels."""

import math

import numpy as np
from numba import njit

from dataio.format import sphere
from dataio.ingest.scenes.background import background
from dataio.ingest.scenes.looks import BOX, look_table
from dataio.ingest.scenes.motion import locate
from dataio.ingest.scenes.world import Scene

_column = njit(cache=True, nogil=True)(sphere.column)


class Camera:
    """A camera at the origin of a scene. It looks to azimuth 0° with the middle of its picture (`dataio.format.sphere`)."""

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        """`size` is (height, width)."""
        things = scene.things
        self.background = background(size, scene.background_seed)
        self._paths = np.array([thing.path.row() for thing in things])
        # half length with the sign of its heading, half height, class
        self._bodies = np.array([(thing.facing * thing.length / 2.0, thing.height / 2.0, thing.class_id) for thing in things])
        self._looks = np.array([look_table(thing.kind, thing.brightness, thing.tint) for thing in things])

    def shoot(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """The picture (height, width, 3) uint8 at a time, and its class ids (height, width) uint8, 0 being background."""
        frame = self.background.copy()
        classes = np.zeros(frame.shape[:2], np.uint8)
        _paint(self._paths, self._bodies, self._looks, seconds, frame, classes)
        return frame, classes


@njit(cache=True, nogil=True)
def _paint(paths, bodies, looks, seconds, frame, classes):
    places = np.empty((paths.shape[0], 3))
    for i in range(paths.shape[0]):
        places[i] = locate(paths[i], seconds)
    for i in np.argsort(-places[:, 2]):  # what is near hides what is far
        azimuth, elevation, distance = places[i]
        half_length, half_height, class_id = bodies[i]
        # angles that the body fills; a row at some elevation is a smaller circle, so there the same angle spans more columns
        wide = math.degrees(math.atan(half_length / distance)) / math.cos(math.radians(elevation))
        high = math.degrees(math.atan(half_height / distance))
        for shape, u, v, half_u, half_v, red, green, blue in looks[i]:
            if half_u > 0.0:
                part = (azimuth + u * wide, elevation + v * high, abs(half_u * wide), half_v * high)
                _paint_part(part, shape == BOX, (red, green, blue), np.uint8(class_id), frame, classes)


@njit(cache=True, nogil=True)
def _paint_part(part, box, colour, class_id, frame, classes):
    """Blend a box or an ellipse into the frame by how much of each pixel it covers; the class needs half a pixel."""
    height, width = classes.shape
    azimuth, elevation, half_azimuth, half_elevation = part
    x, y = _column(azimuth, width), (0.5 - elevation / 180.0) * height - 0.5
    a, b = half_azimuth / 360.0 * width, half_elevation / 180.0 * height
    for row in range(max(0, math.ceil(y - b - 0.5)), min(height - 1, math.floor(y + b + 0.5)) + 1):
        down = _overlap(row - y, b)
        for column in range(math.ceil(x - a - 0.5), math.floor(x + a + 0.5) + 1):
            if box:
                cover = down * _overlap(column - x, a)
            else:
                radius = math.sqrt(((column - x) / a) ** 2 + ((row - y) / b) ** 2)
                cover = min(1.0, max(0.0, (1.0 - radius) * min(a, b) + 0.5))
            wrapped = column % width
            for channel in range(3):
                old = frame[row, wrapped, channel]
                frame[row, wrapped, channel] = np.uint8(old + (colour[channel] - old) * cover + 0.5)
            if cover >= 0.5:
                classes[row, wrapped] = class_id


@njit(cache=True, nogil=True)
def _overlap(offset, half):
    """Length of a pixel, `offset` from the middle of an interval, that the interval of this half length covers."""
    return max(0.0, min(offset + 0.5, half) - max(offset - 0.5, -half))
