"""One recording into clips: JPEG frames, PCM pairs, class maps and facts, appended to a spool file as they come.

Memory is bounded by one clip, however long the recording. The same input and options give the same bytes.
"""

import io
import json
import math
import wave
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from dataio.format import index
from dataio.format.clip import clip_key, frame_extension, frame_times, pair_extension, slug
from dataio.ingest.encode.options import EncodeOptions
from dataio.ingest.errors import SourceError
from dataio.ingest.media.facts import video_facts
from dataio.ingest.media.picture import Shown, frames_at
from dataio.ingest.media.sound import Track, open_track, window
from dataio.ingest.sources.recording import Recording

_WAV_HEADER = 44  # bytes before the PCM in what the standard `wave` module writes


@dataclass(frozen=True)
class Encoded:
    """What became of a recording.

    clips: with offsets into the spool. rms: ear → RMS of each clip, of full scale. tail: seconds of picture dropped at the end.
    """

    name: str
    clips: tuple[index.Clip, ...]
    rms: dict[str, tuple[float, ...]]
    tail: float


def encode(recording: Recording, options: EncodeOptions, root: Path, spool: BinaryIO) -> Encoded:
    """Append the members of every whole clip of a recording to `spool`.

    Args:
        root: the source folder; file names inside the clips are relative to it.

    Raises:
        SourceError: the video or a sound cannot be read, or ends more than a clip before its head says so; the sound is shorter
            than the video by more than a clip; or the recording is shorter than one clip.
    """
    with ExitStack() as stack:
        tracks = {}
        for path in dict.fromkeys(ear.path for pair in recording.pairs.values() for ear in pair):
            tracks[path] = open_track(path, options.rate)
            stack.callback(tracks[path].close)
        seconds, whole = _lengths(recording, tracks, options)
        clips: list[index.Clip] = []
        levels: dict[str, list[float]] = {}
        key = slug(recording.name)
        end = 0.0
        most = math.floor(seconds / options.seconds + 1e-6)
        for i, (frames, classes) in enumerate(_pictures(recording, options, most)):
            facts: dict[str, object] = {
                "recording": recording.name,
                "source": recording.video.relative_to(root).as_posix(),
                "start": i * options.seconds,
                "seconds": options.seconds,
                "frame_times": [round(shown.time, 6) for shown in frames],
                "sound_rate": options.rate,
                "mono": recording.mono,
            }
            writer = _ClipWriter(spool)
            for n, shown in enumerate(frames):
                writer.jpeg(frame_extension(n), shown.rgb(*options.size), options.quality)
            rms: dict[str, float] = {}
            for pair, ears in recording.pairs.items():
                tracks_heard = {ear.path: tracks[ear.path] for ear in ears}
                heard = {
                    path: window(track, i * options.samples, options.samples, options.rate) for path, track in tracks_heard.items()
                }
                pcm = np.stack([heard[ear.path][:, ear.channel] for ear in ears], 1)
                writer.wav(pair_extension(pair), pcm, options.rate)
                level = np.sqrt(np.mean((pcm.astype(np.float64) / 32768.0) ** 2, 0))
                rms |= {f"{pair}.L": float(level[0]), f"{pair}.R": float(level[1])}
            if classes is not None:
                writer.png("labels.png", classes.classes(*options.size))
            writer.add("json", json.dumps(facts | {"rms": rms}, sort_keys=True, separators=(",", ":")).encode())
            clips.append(index.Clip(clip_key(key, i), key, i * options.seconds, tuple(writer.members)))
            for ear, value in rms.items():
                levels.setdefault(ear, []).append(value)
            end = (i + 1) * options.seconds
        if len(clips) < most - 1:
            raise SourceError(f"{recording.video.name} breaks off after {end:g} s of {whole:.2f} s")
        if not clips:
            raise SourceError(f"{recording.name} is shorter than one clip of {options.seconds:g} s")
        return Encoded(recording.name, tuple(clips), {ear: tuple(v) for ear, v in levels.items()}, max(0.0, whole - end))


def _lengths(recording: Recording, tracks: dict[Path, Track], options: EncodeOptions) -> tuple[float, float]:
    """Seconds for which there is both picture (by the container's word) and sound of every ear; seconds of picture."""
    facts = video_facts(recording.video)
    shortest = min(tracks, key=lambda path: tracks[path].seconds)
    sound = tracks[shortest].seconds
    if facts.seconds - sound > options.seconds:
        lengths = f"the sound ({shortest.name}, {sound:.2f} s) is shorter than the video ({facts.seconds:.2f} s)"
        raise SourceError(f"{recording.name}: {lengths} by more than a clip")
    return (min(facts.seconds, sound), facts.seconds) if facts.seconds else (sound, sound)


def _pictures(recording: Recording, options: EncodeOptions, most: int) -> Iterator[tuple[list[Shown], Shown | None]]:
    """Frames, and the class map of frame F/2, of up to `most` clips; ends early where the video ends before its head said so."""
    count = options.frames
    times = (t for i in range(most) for t in frame_times(i * options.seconds, options.seconds, count))
    shown = frames_at(recording.video, times)
    middle = (frame_times(i * options.seconds, options.seconds, count)[count // 2] for i in range(most))
    maps = frames_at(recording.classes, middle) if recording.classes else None
    for i in range(most):
        frames = list(islice(shown, count))
        classes = next(maps, None) if maps else None
        if len(frames) < count or (maps and classes is None):
            return
        yield frames, classes


class _ClipWriter:
    """Appends members to the spool and keeps their index entries; offsets are those in the spool."""

    def __init__(self, spool: BinaryIO) -> None:
        self._spool = spool
        self.members: list[index.Member] = []

    def add(self, extension: str, data: bytes, facts: index.Facts = index.Facts(), blocks: tuple[int, ...] = ()) -> None:
        crc = index.crc32c(np.frombuffer(data, np.uint8))
        self.members.append(index.Member(extension, self._spool.tell(), len(data), crc, facts, blocks))
        self._spool.write(data)

    def jpeg(self, extension: str, rgb: np.ndarray, quality: int) -> None:
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
        self.add(extension, buffer.getvalue(), index.Facts(height=rgb.shape[0], width=rgb.shape[1]))

    def png(self, extension: str, grey: np.ndarray) -> None:
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "PNG")
        self.add(extension, buffer.getvalue(), index.Facts(height=grey.shape[0], width=grey.shape[1]))

    def wav(self, extension: str, pcm: np.ndarray, rate: int) -> None:
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setparams((pcm.shape[1], 2, rate, len(pcm), "NONE", "not compressed"))
            file.writeframes(np.ascontiguousarray(pcm).data)
        data = buffer.getvalue()
        facts = index.Facts(rate=rate, channels=pcm.shape[1], samples=len(pcm), data=_WAV_HEADER)
        self.add(extension, data, facts, index.block_checksums(data))
