"""What the head of a media file tells, read with PyAV and libsndfile, and one sentence where it cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
import soundfile

from dataio.ingest.sources.recording import SourceError

SOUND_FILES = (".wav", ".flac", ".ogg")  # what libsndfile reads with random access


@dataclass(frozen=True)
class VideoFacts:
    """width, height: pixels as stored. rate: frames per second on average. seconds: by the container's word, 0 if it says nothing."""

    width: int
    height: int
    rate: Fraction
    seconds: float


@dataclass(frozen=True)
class SoundFacts:
    """rate: Hz. seconds: by the file's word."""

    channels: int
    rate: int
    seconds: float


@contextmanager
def opened(path: Path, kind: str) -> Iterator[tuple[av.container.InputContainer, av.stream.Stream]]:
    """The container at `path` and its first stream of this kind ("video" or "audio"), decoding in the calling thread alone.

    Raises:
        SourceError: missing, no media, or without such a stream.
    """
    try:
        container = av.open(str(path), "r")
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(f"{path.name} cannot be read as {kind}: {_reason(error)}") from error
    with container:
        streams = container.streams.video if kind == "video" else container.streams.audio
        if not streams:
            raise SourceError(f"{path.name} holds no {kind}")
        stream = streams[0]
        stream.codec_context.thread_count = 1
        yield container, stream


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


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
        except (soundfile.LibsndfileError, OSError) as error:
            raise SourceError(f"{path.name} cannot be read as sound: {error}") from error
        return SoundFacts(info.channels, info.samplerate, info.frames / info.samplerate)
    with opened(path, "audio") as (container, stream):
        return SoundFacts(stream.channels, stream.rate, _seconds(container, stream))


def _seconds(container: av.container.InputContainer, stream: av.stream.Stream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else 0.0
