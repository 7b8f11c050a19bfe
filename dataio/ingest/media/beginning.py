"""Time 0 of a recording: when the first frame is seen that can be shown.

A video that was cut without a look at its key frames begins with packets that refer to what was cut away. No decoder shows them, so
everything counts from the first frame that is shown: pictures, copied packets, and sound, be it inside the video or in files beside
it. Those are taken to begin when the video does, with its first packet, shown or not.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, dropwhile
from pathlib import Path

import av

from dataio.ingest.errors import SourceError
from dataio.ingest.media.facts import opened, reason


def from_key(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """The packets from the first key frame on: some decoders take those before it for damage."""
    return dropwhile(lambda packet: packet.size and not packet.is_keyframe, packets)


def unseen(path: Path) -> float:
    """Seconds from the time stamp at which a video begins to that of its first frame that can be shown; 0 for nearly every video.

    Reads one packet, and decodes only if that is not a key frame that the video begins with.

    Raises:
        SourceError: the video cannot be read, or holds no picture that can be decoded.
    """
    with opened(path, "video") as (container, stream):
        begins = stream.start_time
        try:
            packets = container.demux(stream)
            first = next(packets)
            if begins is None or (first.is_keyframe and first.pts in (None, begins)):
                return 0.0
            for packet in from_key(chain([first], packets)):
                for picture in packet.decode():
                    if picture.pts is not None:
                        return float((picture.pts - begins) * stream.time_base)
        except av.error.FFmpegError as error:
            raise SourceError(f"{path.name} breaks off at 0.00 s: {reason(error)}") from error
    raise SourceError(f"{path.name} holds no picture that can be decoded")
