"""Which packets of a video must be decoded, if only the frames on display at certain times are wanted.

Two kinds of work can be left out without changing a wanted frame:

- a frame that is not wanted and that no other frame refers to (a plain B-frame): its packet goes to the decoder with
  `skip_frame = NONREF`, and the decoder, who knows, leaves it out;
- everything between the last wanted frame of a group of pictures and the next key frame: those packets are dropped, and with them
  the key frame's leading pictures (shown before it, decoded after it), which refer to what was dropped.

At 4 of 30 frames a second this saves half the decoding of a file with B-frames, and nearly all of an all-intra one.

Where something was left out before a key frame, the decoder is emptied, as for a jump within the file: in an open group of pictures
the key frame is no new beginning to it, and it would show it before frames that it still holds.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import av

Packet = av.Packet
_MOST_PACKETS, _MOST_BYTES = 256, 24 * 2**20  # looked ahead; a longer group of pictures is sent to the decoder whole
_REORDER = 32  # packets that may follow a frame in the file and yet be shown before it: no codec has more than 16


class Step(NamedTuple):
    """A packet to be decoded, whether its frame is wanted, and whether it begins anew: packets before it were left out."""

    packet: Packet
    wanted: bool
    anew: bool


def decoded(
    context: av.VideoCodecContext, packets: Iterator[Packet], limits: Callable[[], Sequence[int] | None]
) -> Iterator[av.VideoFrame]:
    """At least the wanted frames, in the order of display. packets, limits: as in `planned`."""
    for step in planned(packets, limits):
        if step.anew:
            yield from context.decode(None)
            context.flush_buffers()
        context.skip_frame = "DEFAULT" if step.wanted else "NONREF"
        yield from context.decode(step.packet)


def planned(packets: Iterator[Packet], limits: Callable[[], Sequence[int] | None]) -> Iterator[Step]:
    """The packets to be decoded, in their order.

    Args:
        packets: of one stream, as demuxed; a last one without data flushes the decoder.
        limits: the wanted frames, as ascending time stamps in the stream's ticks: wanted is, for each, the last frame whose stamp
            is not later. None as long as the clock's origin is unknown; until then everything is wanted.
    """
    ahead: list[Packet] = []
    begins = False
    while chunk := _chunk(packets, ahead):
        chosen: list[bool | None] | None = None
        ends = False
        for i, packet in enumerate(chunk):
            if chosen is None and (wanted := limits()) is not None:
                chosen, ends = _choose(chunk, ahead, wanted)
            verdict = chosen[i] if chosen else True
            if verdict is not None:
                yield Step(packet, verdict, begins)
                begins = False
        begins = begins or ends


def _chunk(packets: Iterator[Packet], ahead: list[Packet]) -> list[Packet]:
    """The packets up to the next key frame, or as many as may be held; `ahead` keeps those that were read beyond."""
    size = sum(packet.size for packet in ahead)
    cut: int | None = None
    read = 0
    while True:
        if cut is None and read > 1 and ahead[read - 1].is_keyframe:
            cut = read - 1
        if cut is not None and read - cut > 1 and _certain(ahead, cut, read):
            break
        if read >= _MOST_PACKETS + _REORDER or size > _MOST_BYTES:
            break
        if read == len(ahead):
            packet = next(packets, None)
            if packet is None:
                cut = read if cut is None else cut
                break
            ahead.append(packet)
            size += packet.size
        read += 1
    if cut is None:
        cut = max(1, read - _REORDER)
    chunk = ahead[:cut]
    del ahead[:cut]
    return chunk


def _certain(ahead: Sequence[Packet], cut: int, read: int) -> bool:
    """Whether all leading pictures of the key frame at `cut` have been read: a later packet is decoded after it was shown."""
    key, last = ahead[cut], ahead[read - 1]
    return key.pts is None or last.dts is None or last.dts > key.pts or read - cut > _REORDER


def _choose(chunk: Sequence[Packet], ahead: Sequence[Packet], limits: Sequence[int]) -> tuple[list[bool | None], bool]:
    """For each packet of a chunk: wanted (True), needed at most as a reference (False), or not at all (None); and whether the end
    of the chunk is left out.
    """
    ticks = [packet.pts if packet.size else None for packet in (*chunk, *ahead)]  # a packet without data only flushes the decoder
    stamps = sorted(tick for tick in ticks if tick is not None)
    if len(stamps) < sum(packet.size > 0 for packet in (*chunk, *ahead)):
        return [True] * len(chunk), False

    def wanted(tick: int | None) -> bool:
        if tick is None:
            return True
        after = bisect_right(stamps, tick)
        # the successor of the last one is not known yet
        return bisect_left(limits, tick) < (bisect_left(limits, stamps[after]) if after < len(stamps) else len(limits))

    verdicts: list[bool | None] = [wanted(tick) for tick in ticks[: len(chunk)]]
    leading = _leading(chunk, ticks)
    if not any(verdicts[i] for i in leading):
        for i in leading:
            verdicts[i] = None
    after = ticks[len(chunk) :]
    if ahead and ahead[0].is_keyframe and not any(wanted(after[i]) for i in _leading(ahead, after)):
        last = max((i for i, verdict in enumerate(verdicts) if verdict), default=-1)
        verdicts[last + 1 :] = [None] * (len(verdicts) - last - 1)
        return verdicts, last + 1 < len(verdicts)
    return verdicts, False


def _leading(packets: Sequence[Packet], ticks: Sequence[int | None]) -> list[int]:
    """Places of the pictures that are shown before the key frame which the packets begin with, and decoded after it."""
    key = ticks[0]
    if not packets[0].is_keyframe or key is None:
        return []
    return [i for i, tick in enumerate(ticks[: len(packets)]) if tick is not None and tick < key]
