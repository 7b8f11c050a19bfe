"""Windows of a sound track at the shard's sample rate, as 16-bit PCM, in bounded memory.

16-bit sound that already has the right rate passes through untouched, sample for sample.
"""

import math
from functools import cache
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import soundfile

from dataio.ingest.media import SOUND_FILES, opened, sound_facts
from dataio.ingest.sources.recording import SourceError

_MARGIN = 64  # periods of the lower rate kept on either side of a resampled window: more than the filter is long


class Track(Protocol):
    """Sound at its own rate, whose sample 0 is heard when the first frame of the video is seen. seconds: its length."""

    rate: int
    seconds: float

    def read(self, start: int, count: int) -> np.ndarray:
        """(count, channels) int16 or float32; silence where the track has none. Starts never go back by much."""

    def close(self) -> None: ...


class SoundFile:
    """A track in a file of its own, read at random with libsndfile."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        try:
            self._file = soundfile.SoundFile(path)
        except (soundfile.LibsndfileError, OSError) as error:
            raise SourceError(f"{path.name} cannot be read as sound: {error}") from error
        self.rate = self._file.samplerate
        self.seconds = self._file.frames / self.rate
        self._dtype = "int16" if self._file.subtype == "PCM_16" else "float32"

    def read(self, start: int, count: int) -> np.ndarray:
        out = np.zeros((count, self._file.channels), self._dtype)
        skip = max(0, -start)
        try:
            if start + skip < self._file.frames and skip < count:
                self._file.seek(start + skip)
                data = self._file.read(count - skip, dtype=self._dtype, always_2d=True)
                out[skip : skip + len(data)] = data
        except (soundfile.LibsndfileError, OSError) as error:
            raise SourceError(f"{self._name} breaks off at {start / self.rate:.2f} s: {error}") from error
        return out

    def close(self) -> None:
        self._file.close()


class VideoSound:
    """The sound track inside a video, decoded from front to back; its clock is that of the video stream."""

    def __init__(self, path: Path) -> None:
        facts = sound_facts(path)
        self.rate, self.seconds, self._channels = facts.rate, facts.seconds, facts.channels
        self._name = path.name
        self._opened = opened(path, "audio")
        container, stream = self._opened.__enter__()
        video = container.streams.video[0] if container.streams.video else None
        self._origin = float((video.start_time or 0) * video.time_base) if video else 0.0
        self._resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=self.rate)
        self._frames = container.decode(stream)
        self._held = np.zeros((0, self._channels), np.float32)
        self._start = 0  # position on the video's clock, in samples, of the first held sample
        self._ended = False

    def read(self, start: int, count: int) -> np.ndarray:
        self._forget(start - self.rate)
        while not self._ended and self._start + len(self._held) < start + count:
            self._append()
        out = np.zeros((count, self._channels), np.float32)
        low, high = max(start, self._start), min(start + count, self._start + len(self._held))
        if low < high:
            out[low - start : high - start] = self._held[low - self._start : high - self._start]
        return out

    def _append(self) -> None:
        try:
            frame = next(self._frames, None)
        except av.error.FFmpegError as error:
            raise SourceError(f"the sound of {self._name} breaks off: {error.strerror}") from error
        if frame is None:
            self._ended = True
            return
        at = round((float(frame.pts * frame.time_base) - self._origin) * self.rate)
        for part in self._resampler.resample(frame):
            samples = part.to_ndarray().reshape(-1, self._channels)
            end = self._start + len(self._held)
            if not len(self._held):
                self._start = at
            elif at > end:  # a hole in the track stays silent and keeps its length
                samples = np.concatenate([np.zeros((at - end, self._channels), np.float32), samples])
            self._held = np.concatenate([self._held, samples])

    def _forget(self, before: int) -> None:
        if before > self._start:
            self._held = self._held[before - self._start :]
            self._start = before if len(self._held) else self._start

    def close(self) -> None:
        self._opened.__exit__(None, None, None)


def open_track(path: Path) -> Track:
    """The sound in this file, or the sound track of this video. Raises SourceError."""
    return SoundFile(path) if path.suffix.lower() in SOUND_FILES else VideoSound(path)


@cache
def _resampler(source: int, target: int):  # torchaudio builds the filter once a rate
    import torchaudio

    return torchaudio.transforms.Resample(source, target, resampling_method="sinc_interp_kaiser", lowpass_filter_width=32)


def window(track: Track, start: int, count: int, rate: int) -> np.ndarray:
    """`count` samples from sample `start` on, at `rate` Hz: (count, channels) int16, rounded and clipped.

    Another rate is resampled with torchaudio over a wider window that begins on a common multiple of both clocks, so that a clip
    does not depend on where the one before it was cut.
    """
    if track.rate == rate:
        return _to_int16(track.read(start, count))
    import torch

    step = math.gcd(track.rate, rate)
    low, high = track.rate // step, rate // step  # low source samples last as long as high target samples
    margin = _MARGIN * max(1, math.ceil(low / high))
    block = start // high - math.ceil(margin / low)
    length = math.ceil((start + count) / high) - block + math.ceil(margin / low)
    wide = track.read(block * low, length * low)
    source = torch.from_numpy(np.ascontiguousarray(wide.T).astype(np.float32) / (32768.0 if wide.dtype == np.int16 else 1.0))
    out = _resampler(track.rate, rate)(source).numpy().T
    return _to_int16(out[start - block * high :][:count])


def _to_int16(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.int16:
        return samples
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
