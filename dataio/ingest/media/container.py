"""Video containers in memory: writing one, and what one holds by its packets."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import av
import av.container

from dataio.ingest.media.facts import reason

_EBML = b"\x1a\x45\xdf\xa3"


@dataclass(frozen=True)
class ContainerFacts:
    """What a video container holds, by its packets.

    codec: FFmpeg's name of it. height, width: pixels. frames: on display at some time. gop: most frames from one key frame to the
    next. reordered: whether some frame is decoded before one that is shown earlier (B-frames). times: of every frame, ascending,
    seconds of the container's clock.
    """

    codec: str
    height: int
    width: int
    frames: int
    gop: int
    reordered: bool
    times: tuple[float, ...]


@contextmanager
def muxer(extension: str) -> Iterator[tuple[av.container.OutputContainer, io.BytesIO]]:
    """An empty container in memory, `mp4` or `webm`, and its bytes, which are whole when the context is left."""
    file = io.BytesIO()
    options = {"fflags": "+bitexact"}
    if extension == "mp4":
        # B-frames by negative offsets instead of an edit list, which readers honour or not
        options |= {"movflags": "+faststart+negative_cts_offsets", "use_editlist": "0"}
    again = lambda url, flags, options: _Reader(file)  # noqa: E731  to move the data behind `moov`, the muxer reads its own file
    with av.open(file, "w", format=extension, options=options, io_open=again) as container:
        yield container, file


class _Reader:
    """A second position in a file that is being written."""

    def __init__(self, file: io.BytesIO) -> None:
        self._file, self._at = file, 0

    def read(self, size: int) -> bytes:
        with self._file.getbuffer() as view:
            data = bytes(view[self._at : self._at + size])
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._file.getbuffer().nbytes)[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def probe(data: bytes) -> ContainerFacts:
    """Facts of the video in a clip's container; reads its packets and decodes nothing.

    Raises:
        ValueError: no MP4 or WebM, without video, without time stamps, or broken; the message says which.
    """
    # never by FFmpeg's own guess: a text of the right words would be a play list, and FFmpeg would open what it names
    form = "matroska" if data[:4] == _EBML else "mov" if data[4:8] == b"ftyp" else None
    if form is None:
        raise ValueError("neither MP4 nor WebM")
    try:
        with av.open(io.BytesIO(data), "r", format=form, metadata_errors="replace") as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise ValueError("a container without video of a known codec")
            stream = container.streams.video[0]
            packets = [(p.pts, p.is_keyframe, p.is_discard, p.is_corrupt) for p in container.demux(stream) if p.size]
            codec, height, width, base = stream.codec_context.codec.canonical_name, stream.height, stream.width, stream.time_base
    except (av.error.FFmpegError, OSError) as error:
        raise ValueError(f"a container that cannot be read: {reason(error)}") from error
    if not base or not packets or not packets[0][1] or any(pts is None or corrupt for pts, _, _, corrupt in packets):
        raise ValueError(f"a container of {len(packets)} packets of {codec}, some of them damaged or without time stamp")
    stamps = [pts for pts, _, hidden, _ in packets if pts is not None and not hidden]
    keys = [i for i, (_, key, _, _) in enumerate(packets) if key] + [len(packets)]
    return ContainerFacts(
        codec=codec,
        height=height,
        width=width,
        frames=len(stamps),
        gop=max(after - key for key, after in pairwise(keys)),
        reordered=stamps != sorted(stamps),
        times=tuple(float(stamp * base) for stamp in sorted(stamps)),
    )
