"""The files of a raw recording: moving pictures with exact time stamps, and wavs written block by block."""

import wave
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

GROUP = 8
"""Frames of a closed group of pictures: a reader decodes at most this many to reach one."""

_X264 = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:bframes=0:open-gop=0:threads=1:lookahead-threads=1"
PICTURE = ("libx264", "yuv420p", {"preset": "ultrafast", "crf": "10", "x264-params": _X264})
"""H.264, nearly lossless: codec, pixel format, options."""

CLASSES = ("ffv1", "gray", {"level": "1", "coder": "0", "g": "1"})
"""FFV1, lossless, every frame by itself."""


class MovieWriter:
    """A video file that takes one frame after another; frame k is stamped k / fps (to the millisecond in Matroska)."""

    def __init__(self, path: Path, size: tuple[int, int], fps: int, format: tuple[str, str, dict[str, str]]) -> None:
        """`size` is (height, width); `format` is `PICTURE` or `CLASSES`."""
        codec, self._pixels, options = format
        # bitexact: no random identifiers in the container, the same frames give the same bytes
        self._container = av.open(str(path), "w", options={"fflags": "+bitexact"})
        stream = self._container.add_stream(codec, rate=fps, options=options)
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = self._pixels
        self._stream.codec_context.time_base = Fraction(1, fps)
        self._stream.codec_context.thread_count = 1
        self._reformatter = VideoReformatter()  # keeps its tables: making them anew costs more than the frame
        self._time_base = Fraction(1, fps)
        self._count = 0

    def write(self, picture: np.ndarray) -> None:
        """Append a frame, which must not change afterwards: (height, width, 3) uint8 RGB, or (height, width) uint8 if gray."""
        frame = av.VideoFrame.from_numpy_buffer(picture, "rgb24" if picture.ndim == 3 else "gray")
        frame = self._reformatter.reformat(frame, format=self._pixels, threads=1)
        frame.pts, frame.time_base = self._count, self._time_base
        self._container.mux(self._stream.encode(frame))
        self._count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def open_wav(path: Path, rate: int, samples: int) -> wave.Wave_write:
    """A wav file for `samples` samples of a pair, 16 bits, left ear first; add blocks with `writeframesraw`, then close it."""
    file = wave.open(str(path), "wb")  # noqa: SIM115 (the caller closes it)
    file.setparams((2, 2, rate, samples, "NONE", "not compressed"))
    return file
