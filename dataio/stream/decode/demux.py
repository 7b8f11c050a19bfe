"""The packets of a clip's video container (MP4 or WebM), as they lie in memory.

Opening costs nothing here: FFmpeg would decode the first frame to learn the format of its pixels, which is a fifth of the work on a
clip of eight frames, and which the decoder finds out anyway. Only where frames are decoded in another order than they are shown in
(B-frames) does it have to look, for the decoder must know by how many.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import av
import numpy as np

from dataio.stream.decode.errors import DecodeError

_EBML = b"\x1a\x45\xdf\xa3"
_MOST_PACKETS = 100_000  # of one clip; a damaged head must not keep a thread busy for hours

# while it looks at the streams, FFmpeg opens no decoder that is not on this list; ours is opened without a list
_UNSEEN = {"probesize": "32", "codec_whitelist": "none"}


@contextmanager
def opened(data: bytes | np.ndarray) -> Iterator[tuple[Any, list[Any]]]:
    """The first video stream of the container in these bytes, and all its packets, in the order of the file; last an empty one,
    which flushes the decoder.

    Raises:
        DecodeError: neither MP4 nor WebM, without video, without time stamps, or damaged; also from within the context, whatever
            FFmpeg raises there.
    """
    file = io.BytesIO(data)  # type: ignore[arg-type]  # an array is a buffer too; stubs say so from Python 3.12 on
    head = file.getbuffer()[:8]
    # never by FFmpeg's own guess: a text of the right words would be a play list, and FFmpeg would open what it names
    form = "matroska" if head[:4] == _EBML else "mov" if head[4:8] == b"ftyp" else None
    if form is None:
        raise DecodeError("neither MP4 nor WebM")
    try:
        for options in (_UNSEEN, {}):
            file.seek(0)
            with av.open(file, "r", format=form, metadata_errors="replace", container_options=options) as container:
                stream = container.streams.video[0] if container.streams.video else None
                if stream is None or stream.codec_context is None or not stream.time_base:
                    raise DecodeError("a container without video of a known codec")
                packets = _packets(container, stream)
                ticks = [packet.pts for packet in packets if packet.size]
                if not options or ticks == sorted(ticks):
                    yield stream, packets
                    return
    except av.error.FFmpegError as error:
        said = getattr(error, "strerror", None) or str(error)
        raise DecodeError(f"the container is damaged: {said.rstrip('.')}") from error


def _packets(container: Any, stream: Any) -> list[Any]:
    packets: list[Any] = []
    for packet in container.demux(stream):
        packets.append(packet)
        if packet.size and (packet.pts is None or packet.is_corrupt):
            raise DecodeError("the container is damaged: a packet is cut short or has no time stamp")
        if len(packets) > _MOST_PACKETS:
            raise DecodeError(f"the container holds more than {_MOST_PACKETS} packets")
    if not any(packet.size and not packet.is_discard for packet in packets):
        raise DecodeError("the container holds no frame")
    return packets


def stamps_of(packets: Sequence[Any]) -> list[int]:
    """Time stamps of the frames that are shown, ascending, in ticks of the stream."""
    return sorted(packet.pts for packet in packets if packet.size and not packet.is_discard)
