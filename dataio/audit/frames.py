"""Deep checks of a clip's picture: its frames, how they are kept, and the times for which they stand."""

import math
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from dataio.audit.decoding import Decoded
from dataio.format.clip import frame_extension
from dataio.format.index import Facts
from dataio.format.manifest import Media

_SECOND = 2e-3  # by which time stamps may be rounded: Matroska's are whole milliseconds
_CODECS = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx-vp9": "vp9"}  # FFmpeg's decoders that are not called by their codec


def check_size(found: Facts, size: tuple[int, int]) -> Iterator[str]:
    """What is wrong with the size of a picture; expected is (height, width), pixels."""
    if (found.height, found.width) != tuple(size):
        yield f"a picture of {found.height}x{found.width}; expected {size[0]}x{size[1]}"


def check_frames(
    decoded: dict[str, Decoded], files: dict[str, bytes], media: Media, facts: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """(extension, what is wrong) with the frames of a clip. facts: its json."""
    if media.picture == "jpeg":
        frames = [extension for extension in files if extension.startswith("f") and extension.endswith(".jpg")]
        if sorted(frames) != [frame_extension(i) for i in range(media.frames)]:
            yield "json", f"the clip has the frames {', '.join(sorted(frames))}; the manifest says {media.frames}"
        for extension in frames:
            if files[extension][:2] != b"\xff\xd8":
                yield extension, "is no JPEG"
            elif extension in decoded:
                yield from ((extension, what) for what in check_size(decoded[extension].facts, media.size))
                if decoded[extension].value.ndim != 3:
                    yield extension, "is grey"
        return
    containers = [extension for extension in ("mp4", "webm") if extension in files]
    if len(containers) != 1:
        yield "json", f"the clip has {len(containers)} video containers instead of one"
    for extension in (each for each in containers if each in decoded):
        found = decoded[extension].value
        if media.picture == "copy":
            yield from (("json", what) for what in check_copied(found.times, facts))
        if media.picture in ("copy", ""):
            continue
        if _CODECS.get(found.codec, found.codec) != media.picture or found.frames != media.frames:
            yield extension, f"{found.frames} frames of {found.codec}; the manifest says {media.frames} of {media.picture}"
        yield from ((extension, what) for what in check_size(decoded[extension].facts, media.size))
        gop = facts.get("gop")
        if found.reordered or (isinstance(gop, int) and found.gop > gop):
            yield (
                extension,
                f"key frames are {found.gop} frames apart, with{'' if found.reordered else 'out'} reordered ones between",
            )
        rate = media.frames / media.clip_seconds
        if any(abs(time - i / rate) > _SECOND for i, time in enumerate(found.times)):
            yield extension, f"its time stamps are not those of {rate:g} frames a second"


def check_copied(times: tuple[float, ...], facts: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the word of a copied clip's json on its file: frame i of the file began at start − offset + times[i].

    The first frame that it lists is the one on display at the clip's start. Frames behind that may lie in the file and not be
    listed: an edit list of the recording kept them from display.

    Args:
        times: of the frames in the file, ascending, seconds of its own clock, on which the first is at 0.
    """
    from dataio.ingest.encode.copy import FARTHEST

    try:
        offset, start, listed = float(facts["offset"]), float(facts["start"]), [float(time) for time in facts["frame_times"]]
    except (KeyError, TypeError, ValueError) as error:
        yield f"it does not tell where in its file the clip starts: {type(error).__name__}: {error}"
        return
    if not 0 <= offset <= FARTHEST:
        yield f"its offset is {offset} s, outside 0 … {FARTHEST:g}"
        return
    began = [start - offset + time for time in times]
    strange = [time for time in listed if not any(abs(time - each) <= _SECOND for each in _near(began, time))]
    if strange:
        yield f"its file, which by its offset begins at {start - offset:.6f} s, holds no frame of {strange[0]} s"
    elif listed:
        between = any(listed[0] + _SECOND < time <= start - _SECOND for time in began)
        if between or listed[0] > start + _SECOND or (len(listed) > 1 and listed[1] <= start):
            yield f"the first frame that it lists, of {listed[0]} s, is not the one on display at {start} s"


def _near(ascending: list[float], value: float) -> list[float]:
    """The neighbours of a value: the last below and the first above it."""
    at = bisect_left(ascending, value)
    return ascending[max(0, at - 1) : at + 1]


def check_times(times: list[float], start: float, seconds: float, media: Media) -> Iterator[tuple[str, str]]:
    """Frame i of F is on display at start + i·T/F: it began no later; and no earlier than the one before."""
    if media.picture == "copy":
        late = [time for time in times if not time <= start + seconds + _SECOND]
    else:
        if len(times) != media.frames:
            yield "json", f"{len(times)} time stamps; the manifest says {media.frames} frames"
        late = [t for i, t in enumerate(times) if not 0 <= t <= start + i * seconds / max(1, media.frames) + _SECOND]
    if late or not times or sorted(times) != times or not all(map(math.isfinite, (*times, start))):
        yield "json", f"time stamps {times} do not belong to a clip from {start} s on"
