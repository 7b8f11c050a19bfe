"""Frames of a recording at given times, decoded once from front to back in bounded memory."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from dataio.ingest.errors import SourceError
from dataio.ingest.media.beginning import from_key
from dataio.ingest.media.facts import opened
from dataio.media.needed import decoded

_EPSILON = Fraction(1, 100_000), Fraction(1, 1000)
"""Least and most seconds by which a time stamp may lie behind the time that it stands for: containers round to a tick of their
clock (Matroska: 1 ms), and even the most is far below half a frame."""


@dataclass(frozen=True)
class Shown:
    """The frame on display at the time asked for. time: of its stamp, in seconds of the recording. scaler: shared by all frames of
    a video, since its tables cost more than a small frame.
    """

    time: float
    picture: av.VideoFrame
    scaler: VideoReformatter

    def rgb(self, height: int, width: int) -> np.ndarray:
        """(height, width, 3) uint8; area-averaged where it shrinks."""
        shrinks = width < self.picture.width or height < self.picture.height
        kind = "AREA" if shrinks else "BICUBIC"
        return self.scaler.reformat(self.picture, width, height, "rgb24", interpolation=kind, threads=1).to_ndarray()

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
    """For each of the ascending `times` (seconds from the first frame shown), the frame on display then; ends where the video ends.

    A frame is on display from its time stamp to that of the next, so a variable frame rate is handled as it is. Stops at the first
    time that the video does not reach. Frames that none of the times needs are not decoded where that can be helped.

    Raises:
        SourceError: it cannot be opened, holds no video, or breaks while being decoded.
    """
    with opened(path, "video") as (container, stream):
        clock = _Clock(stream, list(times))
        asked, scaler = 0, VideoReformatter()
        held: tuple[int, av.VideoFrame] | None = None
        try:
            for tick, picture in _decoded(container, stream, clock):
                while held and asked < len(clock.times) and clock.limits[asked] < tick:
                    yield Shown(clock.seconds(held[0]), held[1], scaler)
                    asked += 1
                if asked == len(clock.times):
                    return
                held = tick, picture
        except av.error.FFmpegError as error:
            at = clock.seconds(held[0]) if held else 0.0
            raise SourceError(f"{path.name} breaks off at {at:.2f} s: {error.strerror}") from error
        if held is None:
            raise SourceError(f"{path.name} holds no picture that can be decoded")
        period = 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
        end = held[0] + math.ceil(period / stream.time_base)
        while asked < len(clock.times) and clock.limits[asked] < end:
            yield Shown(clock.seconds(held[0]), held[1], scaler)
            asked += 1


class _Clock:
    """From seconds of the recording to ticks of a stream. limits: the last tick at which a frame may begin to be the one on
    display at each of the times; known once it has `begun` at the first frame's tick.
    """

    def __init__(self, stream: Any, times: list[float]) -> None:
        self.times, self._base = times, Fraction(stream.time_base)
        self._epsilon = min(max(_EPSILON[0], self._base), _EPSILON[1])
        self._first = 0
        self.limits: list[int] = []
        self.begun = False

    def begin(self, tick: int) -> None:
        self._first, self.begun = tick, True
        self.limits = [tick + math.floor((Fraction(time) + self._epsilon) / self._base) for time in self.times]

    def seconds(self, tick: int) -> float:
        return float((tick - self._first) * self._base)


def _decoded(container: Any, stream: Any, clock: _Clock) -> Iterator[tuple[int, av.VideoFrame]]:
    """At least the frames that are wanted, with their ticks, as they are shown; starts the clock at the first."""
    packets = from_key(container.demux(stream))
    for picture in decoded(stream.codec_context, packets, lambda: clock.limits if clock.begun else None):
        if picture.pts is None:
            continue
        if not clock.begun:
            clock.begin(picture.pts)
        yield picture.pts, picture
