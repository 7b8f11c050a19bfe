"""Everything of a clip that one looks at, from its bytes to its place in the batch, on the CPU."""

from typing import Protocol

import numpy as np

from dataio.stream.decode.errors import DecodeError
from dataio.stream.errors import CorruptClipError
from dataio.stream.meter import Meter
from dataio.stream.reader import ClipReader, RawClip


class Frames(Protocol):
    """Decodes the frames of a clip and writes them turned: JPEGs or a container, in one of several ways."""

    name: str

    def write(self, raw: RawClip, shift: int, mirror: bool, out: np.ndarray, meter: Meter) -> None:
        """Fill `out`, (3, F, H, W) float32.

        Raises:
            DecodeError: `part` says which of the parts.
        """


class Pictures:
    """The frames and maps of one set. Safe to use from several threads."""

    def __init__(self, reader: ClipReader, frames: Frames | None, meter: Meter) -> None:
        self._reader, self._spec, self._meter = reader, reader.spec, meter
        self._frames = frames

    def write(self, raw: RawClip, shift: int, mirror: bool, out: dict[str, np.ndarray]) -> None:
        """Fill `frames`, `flow`, `mask` and `labels` of one clip, as far as the spec asks for them.

        Raises:
            CorruptClipError: something cannot be decoded.
        """
        if self._frames is not None:
            try:
                self._frames.write(raw, shift, mirror, out["frames"], self._meter)
            except DecodeError as error:
                raise self._reader.broken(raw, "frames", error.part, error.reason) from error
        for name, data in raw.maps.items():
            with self._meter.clock("maps", cpu=True):
                self._map(name, raw, data, shift, mirror, out[name])

    def _map(self, name: str, raw: RawClip, data: np.ndarray, shift: int, mirror: bool, out: np.ndarray) -> None:
        from dataio.format.flow import decode_flow
        from dataio.format.table import FormatError
        from dataio.stream.decode import png
        from dataio.stream.kernels import maps

        try:
            if name == "flow":
                flow, valid = decode_flow(bytes(data))
                maps.turn_flow(flow, valid, shift, mirror, out)
            else:
                maps.turn_labels(png.decode(data), shift, mirror, out[0])
        except (DecodeError, FormatError) as error:
            reason = error.reason if isinstance(error, DecodeError) else str(error)
            raise self._broken(raw, name, reason) from error

    def _broken(self, raw: RawClip, name: str, reason: str) -> CorruptClipError:
        return self._reader.broken(raw, name, 0, reason)


def frames(name: str, reader: ClipReader) -> Frames | None:
    """Who writes the frames of this set; None where the spec asks for none."""
    if not reader.spec.frames:
        return None
    return _Interim(reader)


class _Interim:
    name = "turbo"

    def __init__(self, reader: ClipReader) -> None:
        from dataio.stream.kernels import rotate

        self._stored = reader.store.manifest.media.size
        self._plan = rotate.plan(self._stored, reader.spec.size)

    def write(self, raw: RawClip, shift: int, mirror: bool, out: np.ndarray, meter: Meter) -> None:
        import simplejpeg

        from dataio.stream.kernels import rotate

        pictures = []
        with meter.clock("decode", cpu=True):
            for i, data in enumerate(raw.picture.parts):
                try:
                    pictures.append(simplejpeg.decode_jpeg(data, "RGB"))
                except ValueError as error:
                    raise DecodeError(str(error), i) from error
        with meter.clock("rotate", cpu=True):
            rotate.rotate(np.stack(pictures), shift, mirror, self._plan, out)
