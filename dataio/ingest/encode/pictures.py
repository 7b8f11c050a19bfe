"""The picture of a recording, clip by clip: frames as JPEGs, as one container, or as recorded; what moves in them; class maps."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from dataio.format import index
from dataio.format.clip import frame_extension, frame_times
from dataio.format.writer import SegmentWriter
from dataio.ingest.encode.options import EncodeOptions
from dataio.ingest.media.picture import Shown, frames_at
from dataio.ingest.sources.recording import Recording


@dataclass(frozen=True)
class _Clip:
    """What is seen during one clip: the frames that stand for its times, the class map of frame F/2, the packets as recorded."""

    shown: list[Shown]
    classes: Shown | None
    copied: Any
    size: tuple[int, int]

    @cached_property
    def rgb(self) -> list[np.ndarray]:
        """F frames (H, W, 3) uint8, at the stored size."""
        return [shown.rgb(*self.size) for shown in self.shown]


@dataclass
class Pictures:
    """Iterates over up to `most` clips of a recording, from front to back; ends early where the video does.

    Each step gives a function that adds the clip's members and returns what its json should say of them.

    Raises:
        SourceError: the video, or the video of class ids, cannot be read or copied.
    """

    recording: Recording
    options: EncodeOptions
    most: int
    _foreground: Any = field(default=None, init=False)

    def __iter__(self) -> Iterator["_Adder"]:
        o = self.options
        if o.mask:
            from dataio.ingest.encode.foreground import MovingForeground

            self._foreground = MovingForeground()
        for clip in self._clips():
            yield _Adder(clip, o, self._foreground)

    def _clips(self) -> Iterator[_Clip]:
        o, count = self.options, self.options.count
        starts = [i * o.seconds for i in range(self.most)]
        decoded = o.frames != "copy" or o.flow or o.mask
        shown = frames_at(self.recording.video, (t for start in starts for t in frame_times(start, o.seconds, count)))
        copied: Iterator[Any] | None = None
        if o.frames == "copy":
            from dataio.ingest.encode.copy import copied as copy

            copied = copy(self.recording.video, o.seconds, self.most)
        maps: Iterator[Shown] | None = None
        if self.recording.classes:
            maps = frames_at(self.recording.classes, (frame_times(start, o.seconds, count)[count // 2] for start in starts))
        for _ in starts:
            clip = _Clip(
                list(islice(shown, count)) if decoded else [],
                next(maps, None) if maps else None,
                next(copied, None) if copied else None,
                o.size,
            )
            if (decoded and len(clip.shown) < count) or (maps and not clip.classes) or (copied and not clip.copied):
                return
            yield clip


@dataclass(frozen=True)
class _Adder:
    clip: _Clip
    options: EncodeOptions
    foreground: Any

    def add_to(self, writer: SegmentWriter) -> dict[str, object]:
        """Add the members of the clip's picture, and tell its json about them."""
        clip, o = self.clip, self.options
        facts: dict[str, object] = {}
        if clip.copied:
            c = clip.copied
            writer.add(c.extension, c.data, index.Facts(height=c.height, width=c.width, frames=c.frames))
            facts = {"picture": "copy", "offset": c.offset, "frame_times": [round(t, 6) for t in c.frame_times]}
        elif o.frames == "jpeg":
            for n, rgb in enumerate(clip.rgb):
                writer.add(frame_extension(n), jpeg(rgb, o.quality), index.Facts(height=o.size[0], width=o.size[1]))
        else:
            from dataio.ingest.encode.container import EXTENSIONS, encode_video

            frames = [shown.picture for shown in clip.shown]
            data = encode_video(frames, fps=o.fps, codec=o.frames, size=o.size, quality=o.quality, gop=o.gop)
            writer.add(EXTENSIONS[o.frames], data, index.Facts(height=o.size[0], width=o.size[1], frames=o.count))
            facts = {"picture": o.frames, "gop": o.gop}
        if clip.classes:
            _png(writer, "labels.png", clip.classes.classes(*o.size))
        facts = {"frame_times": [round(shown.time, 6) for shown in clip.shown]} | facts
        return facts | self._motion(writer)

    def _motion(self, writer: SegmentWriter) -> dict[str, object]:
        o = self.options
        if not o.flow and not o.mask:
            return {}
        rgb = self.clip.rgb
        from dataio.ingest.encode.motion import flow, flow_frames

        first, second = flow_frames(o.count)
        if o.flow:
            from dataio.format.flow import encode_flow

            data = encode_flow(*flow(rgb[first], rgb[second]))
            writer.add("flow.png", data, index.Facts(height=o.size[0], width=o.size[1]))
        if o.mask:
            _png(writer, "mask.png", self.foreground.update(rgb, first))
        return {"flow_frames": [first, second]}


def jpeg(rgb: np.ndarray, quality: int) -> bytes:
    """(H, W, 3) uint8 as a baseline JPEG with 4:2:0 colour, by libjpeg-turbo's accurate cosine transform.

    Where its binding is missing, as on the offline hosts of `make gpu-check`, Pillow writes it: other bytes, and slower. A
    build that has begun with the one does not go on with the other, since its plan names the versions.
    """
    try:
        import simplejpeg
    except ImportError:
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality, "RGB", "420", fastdct=False)


def _png(writer: SegmentWriter, extension: str, grey: np.ndarray) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    writer.add(extension, buffer.getvalue(), index.Facts(height=grey.shape[0], width=grey.shape[1]))
