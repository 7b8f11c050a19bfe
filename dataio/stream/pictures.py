"""Everything of a clip that one looks at, from its bytes to its place in the batch, on the CPU."""

import time
from functools import lru_cache, partial
from typing import Any, Protocol

import numpy as np

from dataio.format.manifest import Media
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.jpeg import JpegFrames
from dataio.stream.errors import CorruptClipError
from dataio.stream.kernels import rotate
from dataio.stream.kernels.turner import Tilt, Turner
from dataio.stream.meter import Meter
from dataio.stream.reader import ClipReader, Picture, RawClip
from dataio.stream.spec import ClipSpec


class Frames(Protocol):
    """Decodes the frames of a clip and writes them turned: JPEGs or a container, in one of several ways."""

    def write(self, picture: Picture, shift: int, mirror: bool, out: np.ndarray, tilt: Tilt | None = None) -> tuple[float, float]:
        """Fill `out`, (3, F, H, W) float32. Returns the seconds of processor time that decoding and turning took.

        Raises:
            DecodeError: `part` says which of the parts.
        """


class Pictures:
    """The frames and maps of one set. Safe to use from several threads."""

    def __init__(self, reader: ClipReader, frames: Frames | None, meter: Meter) -> None:
        self._reader, self._spec, self._meter = reader, reader.spec, meter
        self._frames = frames

    def write(self, raw: RawClip, shift: int, mirror: bool, out: dict[str, np.ndarray], tilt: Tilt | None = None) -> None:
        """Fill `frames`, `flow`, `mask` and `labels` of one clip, as far as the spec asks for them.

        Args:
            shift, mirror: as in `rotate`. tilt: pitch and roll in degrees; None where the viewer is level.

        Raises:
            CorruptClipError: something cannot be decoded.
        """
        if self._frames is not None:
            try:
                decoding, turning = self._frames.write(raw.picture, shift, mirror, out["frames"], tilt)
            except DecodeError as error:
                raise self._reader.broken(raw, "frames", error.part, error.reason) from error
            self._meter.add("decode", decoding)
            self._meter.add("rotate", turning)
        for name, data in raw.maps.items():
            with self._meter.clock("maps", cpu=True):
                self._map(name, raw, data, Turner(shift, mirror, tilt), out[name])

    def _map(self, name: str, raw: RawClip, data: np.ndarray, turner: Turner, out: np.ndarray) -> None:
        from dataio.format.flow import decode_flow
        from dataio.format.table import FormatError
        from dataio.stream.decode import png

        try:
            if name == "flow":
                flow, valid = decode_flow(bytes(data))
                turner.flow(flow, valid, out)
            else:
                turner.labels(png.decode(data), out[0])
        except (DecodeError, FormatError) as error:
            reason = error.reason if isinstance(error, DecodeError) else str(error)
            raise self._broken(raw, name, reason) from error

    def _broken(self, raw: RawClip, name: str, reason: str) -> CorruptClipError:
        return self._reader.broken(raw, name, 0, reason)


class _Jpegs:
    """A JPEG a frame."""

    def __init__(self, stored: tuple[int, int], spec: ClipSpec, decoder: Any) -> None:
        self._frames = JpegFrames(stored, spec.size, decoder, reduced=spec.reduced)

    def write(self, picture: Picture, shift: int, mirror: bool, out: np.ndarray, tilt: Tilt | None = None) -> tuple[float, float]:
        return self._frames.write(picture.parts, shift, mirror, out, tilt)


class _Containers:
    """One video file a clip, decoded by FFmpeg as far as its frames need. Pictures of copied packets may differ in size."""

    def __init__(self, media: Media, spec: ClipSpec) -> None:
        from dataio.stream.decode import container

        self._container, self._spec = container, spec
        self._held = media.frames
        self._size = media.size if media.size != (0, 0) else None
        self._numbers = [i * media.frames // spec.frames for i in range(spec.frames)]
        self._times = [i * media.clip_seconds / spec.frames for i in range(spec.frames)]
        self._limits: dict[str, Any] = {"least": tuple(2 * n for n in spec.size)} if spec.reduced else {}
        self._plan = lru_cache(16)(partial(rotate.plan, size=spec.size))

    def write(self, picture: Picture, shift: int, mirror: bool, out: np.ndarray, tilt: Tilt | None = None) -> tuple[float, float]:
        turner = Turner(shift, mirror, tilt)
        (data,) = picture.parts
        if picture.offset is None:
            found = self._container.numbered(data, self._numbers, held=self._held, size=self._size, **self._limits)
        else:
            found = self._container.timed(data, [picture.offset + t for t in self._times], size=self._size, **self._limits)
        decoding, turning, at = 0.0, 0.0, time.thread_time()
        for i, frame in enumerate(found):
            decoding, at = decoding + time.thread_time() - at, time.thread_time()
            turner.write(frame, i, self._plan(frame.shape[:2]), out)
            turning, at = turning + time.thread_time() - at, time.thread_time()
        return decoding, turning


def frames(name: str, reader: ClipReader) -> Frames | None:
    """Who writes the frames of this set, by the name of the decoder; None where the spec asks for none."""
    media, spec = reader.store.manifest.media, reader.spec
    if not spec.frames:
        return None
    return _Containers(media, spec) if name == "pyav" else _Jpegs(media.size, spec, name)
