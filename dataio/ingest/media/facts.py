"""What the head of a media file tells, read with PyAV and libsndfile, and one sentence where it cannot be read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import soundfile

from dataio.ingest.errors import SourceError

SOUND_FILES = (".wav", ".flac", ".ogg")  # what libsndfile reads with random access


@dataclass(frozen=True)
class VideoFacts:
    """width, height: pixels as stored. rate: frames per second on average. seconds: by the container's word, 0 if it has none."""

    width: int
    height: int
    rate: Fraction
    seconds: float


@dataclass(frozen=True)
class SoundFacts:
    """rate: Hz. seconds: by the file's word, 0 if it says nothing."""

    channels: int
    rate: int
    seconds: float


@contextmanager
def opened(path: Path, kind: str) -> Iterator[tuple[av.container.InputContainer, Any]]:
    """The container at `path` and its first stream of this kind ("video" or "audio"), decoding in the calling thread alone.

    Raises:
        SourceError: missing, no media, or without such a stream.
    """
    try:
        container = av.open(str(path), "r", metadata_errors="replace")  # a title in Latin-1 is no fault
    except (av.error.FFmpegError, OSError, UnicodeError) as error:
        raise SourceError(f"{path.name} cannot be read as {kind}: {reason(error)}") from error
    with container:
        streams = container.streams.video if kind == "video" else container.streams.audio
        if not streams:
            raise SourceError(f"{path.name} holds no {kind}")
        stream = streams[0]
        if stream.codec_context is None:
            raise SourceError(f"{path.name} holds {kind} of a kind that cannot be decoded")
        stream.codec_context.thread_count = 1
        yield container, stream


def reason(error: Exception) -> str:
    """What a reading library says went wrong, without the path that it may have put before it."""
    if isinstance(error, UnicodeError):
        return "its name is not valid UTF-8"
    text = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
    return text.rstrip(".") or type(error).__name__


def video_facts(path: Path) -> VideoFacts:
    """Facts of the first video stream. Raises SourceError."""
    with opened(path, "video") as (container, stream):
        rate = stream.average_rate or stream.guessed_rate
        if not rate or not stream.width or not stream.height:
            raise SourceError(f"{path.name} gives no frame rate or no size")
        return VideoFacts(stream.width, stream.height, Fraction(rate), _seconds(container, stream))


def sound_facts(path: Path) -> SoundFacts:
    """Facts of a sound file, or of the sound track of a video. Raises SourceError."""
    if path.suffix.lower() in SOUND_FILES:
        try:
            info = soundfile.info(path)
        except (soundfile.LibsndfileError, OSError, UnicodeError) as error:
            raise SourceError(f"{path.name} cannot be read as sound: {reason(error)}") from error
        return SoundFacts(info.channels, info.samplerate, info.frames / info.samplerate)
    with opened(path, "audio") as (container, stream):
        return SoundFacts(stream.channels, stream.rate, _seconds(container, stream))


def start_time(stream: Any) -> float:
    """Time stamp of the stream's beginning, in seconds of the container's clock."""
    return float((stream.start_time or 0) * stream.time_base) if stream.time_base else 0.0


def _seconds(container: av.container.InputContainer, stream: Any) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska gives no length of a stream: its tag, or the whole container, says when it ends on the container's clock
    end = container.duration / av.time_base if container.duration else 0.0
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        end = int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    return max(0.0, end - start_time(stream))
