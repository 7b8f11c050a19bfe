"""Clips of a recording as its own packets, not decoded and not encoded again.

A file can only begin with a key frame. So a clip's begins with the last one at or before the clip's start, and `offset` says how
far the start lies behind it. It ends with the last packet that some frame of the clip needs; with B-frames that may be one that is
shown after the clip's end. Rotation and colour stay as the recording's head has them; sound is left out.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from dataio.ingest.errors import SourceError
from dataio.ingest.media.beginning import from_key
from dataio.ingest.media.container import muxer, probe
from dataio.ingest.media.facts import opened, reason

Packet = Any  # av.Packet of one stream, with a time stamp
FARTHEST = 10.0  # seconds from a clip's start back to its key frame: each clip of such a recording would repeat them all

_HELD_BY = {"h264": "mp4", "hevc": "mp4", "mpeg4": "mp4", "mjpeg": "mp4", "vp9": "webm", "av1": "mp4"}
_TOLERANCE = Fraction(1, 100_000), Fraction(1, 1000)  # seconds by which a time stamp may be rounded: as in media.picture


@dataclass(frozen=True)
class CopiedClip:
    """One clip.

    data: the file. extension: `mp4` or `webm`. offset: seconds from the file's first frame, whose time stamp is 0, to the clip's
    start. frame_times: of the frames on display within the clip, seconds of the recording; the first may have begun before it.
    height, width: pixels. frames: in the file, so with those before and behind the clip.
    """

    data: bytes
    extension: str
    offset: float
    frame_times: tuple[float, ...]
    height: int
    width: int
    frames: int


def copied(path: Path, seconds: float, most: int) -> Iterator[CopiedClip]:
    """Up to `most` clips of `seconds` each, one after the other from the first frame on; ends early where the video does.

    Reads once from front to back, and holds no more than the packets of one clip and of what lies between it and its key frame.

    Raises:
        SourceError: it cannot be opened, breaks, has no time stamps, changes its format midway, is of a codec that neither MP4 nor
            WebM holds for every reader, or has a clip that begins more than 10 s after a key frame.
    """
    with opened(path, "video") as (container, stream):
        extension = _extension(path, container, stream)
        packets = _packets(path, container, stream)
        held, zero = _beginning(path, packets)
        clock = _Clock(zero, Fraction(stream.time_base), Fraction(seconds))
        period = math.ceil(1 / Fraction(stream.average_rate or stream.guessed_rate or 25) / clock.base)
        for number in range(most):
            while held[-1].dts is None or held[-1].dts < clock.end(number):  # a frame is never shown before it is decoded
                packet = next(packets, None)
                if packet is None:
                    shown_until = max(each.pts + max(each.duration or 0, period) for each in held)
                    if shown_until + period // 2 < clock.end(number):  # a head's word on the last frame's length is rough
                        return
                    break
                held.append(packet)
            yield _clip(path, stream, extension, held, clock, number)
            del held[: _key(held, clock.start(number + 1))]


@dataclass(frozen=True)
class _Clock:
    """Where clips begin and end, in ticks of the stream.

    zero: tick of the recording's first frame. base: seconds of a tick. seconds: of a clip.
    """

    zero: int
    base: Fraction
    seconds: Fraction

    @property
    def _tolerance(self) -> Fraction:
        return min(max(_TOLERANCE[0], self.base), _TOLERANCE[1])

    def start(self, number: int) -> int:
        """The last tick at which a frame may begin that is on display when the clip starts."""
        return self.zero + math.floor((number * self.seconds + self._tolerance) / self.base)

    def end(self, number: int) -> int:
        """The first tick at which a frame may begin that is no longer of the clip."""
        return self.zero + math.ceil(((number + 1) * self.seconds - self._tolerance) / self.base)

    def time(self, tick: int) -> Fraction:
        return (tick - self.zero) * self.base


def _extension(path: Path, container: Any, stream: Any) -> str:
    codec = stream.codec_context.codec.canonical_name
    if codec not in _HELD_BY:
        raise SourceError(f"{path.name} is of codec {codec}, which cannot be copied; {', '.join(_HELD_BY)} can")
    return "webm" if codec == "av1" and "matroska" in container.format.name else _HELD_BY[codec]


def _packets(path: Path, container: Any, stream: Any) -> Iterator[Packet]:
    """Every packet from the first key frame on. Raises SourceError."""
    last, decoded = 0.0, None
    try:
        for packet in from_key(container.demux(stream)):
            if not packet.size:
                continue
            if packet.pts is None:
                raise SourceError(f"{path.name} has packets without time stamps, which cannot be copied")
            if packet.is_corrupt:
                raise SourceError(f"{path.name} breaks off at {last:.2f} s of its clock: a packet is cut short")
            last = float(packet.pts * packet.time_base)
            if packet.dts is not None:
                if decoded is not None and packet.dts < decoded:
                    raise SourceError(f"{path.name} has time stamps that run backwards at {last:.2f} s of its clock")
                decoded = packet.dts
            if packet.has_sidedata("new_extradata"):
                raise SourceError(f"{path.name} changes its format at {last:.2f} s of its clock, and a copied clip has only one")
            yield packet
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(f"{path.name} breaks off at {last:.2f} s of its clock: {reason(error)}") from error


def _beginning(path: Path, packets: Iterator[Packet]) -> tuple[list[Packet], int]:
    """The first packets, as many as it takes to know the tick of the first frame on display, and that tick.

    An edit list may keep frames from display that others refer to; what precedes the first key frame refers to nothing we have.
    """
    held: list[Packet] = []
    first: int | None = None
    for packet in packets:
        held.append(packet)
        if not packet.is_discard and packet.pts >= held[0].pts:
            first = packet.pts if first is None else min(first, packet.pts)
        if first is not None and packet.dts is not None and packet.dts > first:
            break
    if first is None:
        raise SourceError(f"{path.name} holds no key frame, so nothing that can be copied")
    return held, first


def _key(held: Sequence[Packet], start: int) -> int:
    """Place of the last key frame that is not later than `start`."""
    return max((i for i, packet in enumerate(held) if packet.is_keyframe and packet.pts <= start), default=0)


def _clip(path: Path, stream: Any, extension: str, held: Sequence[Packet], clock: _Clock, number: int) -> CopiedClip:
    start, end = clock.start(number), clock.end(number)
    key = _key(held, start)
    offset = number * clock.seconds - clock.time(held[key].pts)
    if offset > FARTHEST:
        at = f"{float(number * clock.seconds):g} s, {float(offset):.1f} s after its last key frame"
        raise SourceError(f"{path.name} has a clip that starts at {at}; to be copied it needs one every {FARTHEST:g} s")
    last = max(i for i, packet in enumerate(held) if i >= key and packet.pts < end)
    # leading pictures of the key frame are shown before it and refer to what came before
    part = [packet for packet in held[key : last + 1] if packet.pts >= held[key].pts]
    shown = sorted(packet.pts for packet in part if not packet.is_discard and packet.pts < end)
    shown = [tick for i, tick in enumerate(shown) if tick > start or i + 1 == len(shown) or shown[i + 1] > start]
    try:
        data = _file(part, stream, extension)
        if probe(data).frames != len(part):  # a muxer joins what it takes for halves of one VP9 frame
            raise ValueError("some packets hold no frame of their own")
    except (av.error.FFmpegError, ValueError) as error:
        raise SourceError(f"{path.name} cannot be copied from {float(number * clock.seconds):g} s on: {reason(error)}") from error
    times = tuple(float(clock.time(tick)) for tick in shown)
    return CopiedClip(data, extension, max(0.0, float(offset)), times, stream.height, stream.width, len(part))


def _file(part: Sequence[Packet], stream: Any, extension: str) -> bytes:
    with muxer(extension) as (container, file):
        out = container.add_stream_from_template(stream, opaque=True)
        for packet, dts in zip(part, decode_times([packet.pts for packet in part]), strict=True):
            copy = av.Packet(bytes(packet))  # nothing but its bytes: the flags of the source's edit list stay behind
            copy.stream, copy.time_base, copy.is_keyframe = out, packet.time_base, packet.is_keyframe
            copy.pts, copy.dts, copy.duration = packet.pts - part[0].pts, dts - part[0].pts, packet.duration
            container.mux(copy)
    return file.getvalue()


def decode_times(shown: Sequence[int]) -> list[int]:
    """Ticks at which frames are decoded, ascending, for the ticks at which they are shown, in the order of decoding.

    The latest possible: frame k in this order cannot be decoded later than the k-th that is shown, less the delay that makes every
    frame decoded in time. Containers give such stamps, rounded or none at all; a muxer needs them strictly ascending.
    """
    order = sorted(shown)
    delay = max((due - tick for due, tick in zip(order, shown, strict=True)), default=0)
    return [due - delay for due in order]
