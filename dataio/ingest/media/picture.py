"""Frames of a recording at given times, decoded once from front to back in bounded memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dataio.ingest.errors import SourceError
from dataio.ingest.media.facts import opened

_EPSILON = Fraction(1, 100_000), Fraction(1, 1000)
"""Least and most seconds by which a time stamp may lie behind the time that it stands for: containers round to a tick of their
clock (Matroska: 1 ms), and even the most is far below half a frame."""


@dataclass(frozen=True)
class Shown:
    """The frame on display at the time asked for. time: of its stamp, in seconds of the recording. end: when the next is due."""

    time: float
    end: float
    picture: av.VideoFrame

    def rgb(self, height: int, width: int) -> np.ndarray:
        """(height, width, 3) uint8; area-averaged where it shrinks."""
        shrinks = width < self.picture.width or height < self.picture.height
        kind = "AREA" if shrinks else "BICUBIC"
        return self.picture.reformat(width, height, "rgb24", interpolation=kind).to_ndarray()

    def classes(self, height: int, width: int) -> np.ndarray:
        """(height, width) uint8 of class ids: the nearest pixel, never a mixture.

        Raises:
            SourceError: the picture is not one byte a pixel, so that its values are no class ids.
        """
        if self.picture.format.name != "gray":
            raise SourceError(f"class maps must be 8-bit grey, these are {self.picture.format.name}")
        plane = self.picture.to_ndarray()
        rows = (np.arange(height) * 2 + 1) * plane.shape[0] // (2 * height)
        columns = (np.arange(width) * 2 + 1) * plane.shape[1] // (2 * width)
        return np.ascontiguousarray(plane[rows[:, None], columns[None, :]])


def frames_at(path: Path, times: Iterable[float]) -> Iterator[Shown]:
    """For each of the ascending `times` (seconds from the first frame), the frame on display then; ends where the video ends.

    A frame is on display from its time stamp to that of the next, so a variable frame rate is handled as it is. Stops at the first
    time that the video does not reach.

    Raises:
        SourceError: it cannot be opened, holds no video, or breaks while being decoded.
    """
    with opened(path, "video") as (container, stream):
        pending = iter(times)
        wanted = next(pending, None)
        held: tuple[Fraction, av.VideoFrame] | None = None
        first: int | None = None
        epsilon = min(max(_EPSILON[0], Fraction(stream.time_base or 0)), _EPSILON[1])
        period = 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
        try:
            for picture in container.decode(stream):
                if picture.pts is None:
                    continue
                first = picture.pts if first is None else first
                time = (picture.pts - first) * Fraction(picture.time_base)
                while held and wanted is not None and Fraction(wanted) + epsilon < time:
                    yield Shown(float(held[0]), float(time), held[1])
                    wanted = next(pending, None)
                if wanted is None:
                    return
                held = time, picture
        except av.error.FFmpegError as error:
            raise SourceError(f"{path.name} breaks off at {float(held[0]) if held else 0:.2f} s: {error.strerror}") from error
        if held is None:
            raise SourceError(f"{path.name} holds no picture that can be decoded")
        end = held[0] + period
        while wanted is not None and Fraction(wanted) + epsilon < end:
            yield Shown(float(held[0]), float(end), held[1])
            wanted = next(pending, None)
