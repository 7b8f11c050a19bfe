"""One recording into clips: picture, sound and facts, appended to a spool file as they come.

Memory is bounded by one clip, however long the recording. The same input and options give the same bytes. The spool is a tar
without its end, so that a shard is made of pieces of spools.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dataio.format import index
from dataio.format.clip import clip_key, slug
from dataio.format.writer import SegmentWriter, moved
from dataio.ingest.encode.ears import Ears
from dataio.ingest.encode.options import EncodeOptions
from dataio.ingest.encode.pictures import Pictures
from dataio.ingest.errors import SourceError
from dataio.ingest.media.facts import video_facts
from dataio.ingest.sources.recording import Recording


@dataclass(frozen=True)
class Encoded:
    """What became of a recording.

    clips: with offsets into the spool, in the order of time. rms: ear → RMS of each clip, of full scale. tail: seconds of picture
    dropped at the end. silent: clips left out, by their numbers, because they were too quiet.
    """

    name: str
    clips: tuple[index.Clip, ...]
    rms: dict[str, tuple[float, ...]]
    tail: float
    silent: tuple[int, ...] = ()


def encode(
    recording: Recording,
    options: EncodeOptions,
    root: Path,
    spool: BinaryIO,
    *,
    split: str | None = None,
    on_clip: Callable[[int, int, int], None] = lambda done, most, size: None,
) -> Encoded:
    """Append every whole clip of a recording to `spool`.

    Args:
        root: the source folder; file names inside the clips are relative to it.
        split: for the clips' json; None leaves it out.
        on_clip: told (clips done, clips expected, bytes written) after each.

    Raises:
        SourceError: the video or a sound cannot be read, or ends more than a clip before its head says so; the sound is shorter
            than the video by more than a clip; or the recording is shorter than one clip.
    """
    with Ears(recording, options) as ears:
        seconds, whole = _lengths(recording, ears, options)
        key = slug(recording.name)
        common: dict[str, object] = {
            "recording": recording.name,
            "source": recording.video.relative_to(root).as_posix(),
            "seconds": options.seconds,
            "sound_rate": options.rate,
            "mono": recording.mono,
        } | ({"split": split} if split is not None else {})
        clips: list[index.Clip] = []
        levels: list[dict[str, float]] = []
        most = math.floor(seconds / options.seconds + 1e-6)
        size = 0
        for i, pictures in enumerate(Pictures(recording, options, most)):
            start = i * options.seconds
            writer = SegmentWriter(clip_key(key, i))
            facts = common | pictures.add_to(writer)
            levels.append(ears.add_to(writer, i))
            facts |= {"start": start, "rms": levels[-1]}
            writer.add("json", json.dumps(facts, sort_keys=True, separators=(",", ":")).encode())
            segment = writer.finish(key, start)
            clips.append(moved(segment.clip, size))
            spool.writelines(segment.parts)
            size += segment.size
            on_clip(i + 1, most, size)
    end = len(clips) * options.seconds
    if len(clips) < most - 1:
        raise SourceError(f"{recording.video.name} breaks off after {end:g} s of {whole:.2f} s")
    if not clips:
        raise SourceError(f"{recording.name} is shorter than one clip of {options.seconds:g} s")
    silent = _silent(levels, options.silence)
    kept = [i for i in range(len(clips)) if i not in silent]
    if not kept:
        raise SourceError(f"{recording.name} holds nothing but silence")
    rms = {ear: tuple(levels[i][ear] for i in kept) for ear in levels[0]}
    return Encoded(recording.name, tuple(clips[i] for i in kept), rms, max(0.0, whole - end), tuple(sorted(silent)))


def _lengths(recording: Recording, ears: Ears, options: EncodeOptions) -> tuple[float, float]:
    """Seconds for which there is both picture (by the container's word) and sound of every ear; seconds of picture shown."""
    seen = max(0.0, video_facts(recording.video).seconds - ears.unseen)
    if seen - ears.seconds > options.seconds:
        lengths = f"the sound ({ears.shortest}, {ears.seconds:.2f} s) is shorter than the video ({seen:.2f} s)"
        raise SourceError(f"{recording.name}: {lengths} by more than a clip")
    return (min(seen, ears.seconds), seen) if seen else (ears.seconds, ears.seconds)


def _silent(levels: list[dict[str, float]], below: float | None) -> set[int]:
    """Numbers of the clips of which every ear lies so many dB below its mean over the recording, or is digital silence."""
    if below is None:
        return set()
    limit = {ear: math.fsum(clip[ear] for clip in levels) / len(levels) * 10 ** (-below / 20) for ear in levels[0]}
    return {i for i, clip in enumerate(levels) if all(value <= limit[ear] for ear, value in clip.items())}
