"""Windows of a sound track at the shard's sample rate, as 16-bit PCM, in bounded memory.

16-bit sound that already has the right rate passes through untouched, sample for sample.
"""

import math
from functools import cache
from pathlib import Path

import av
import numpy as np
import soundfile

from dataio.ingest.errors import SourceError
from dataio.ingest.media.facts import SOUND_FILES, opened, reason, sound_facts, start_time
from dataio.ingest.media.track import Track

_HOLE = 0.005  # seconds; a jump of the time stamps below this is their rounding (Matroska: to the millisecond), not a hole
_SLACK = 0.1  # seconds by which the sound of a video may end before its head says so: codecs count whole frames
_LARGEST_FILTER = 2**24  # weights; the rates in use need 2,000,000 (47,952 Hz, slowed down for film) or less
_MARGIN = 64  # periods of the lower rate kept on either side of a resampled window: more than the filter is long


class SoundFile:
    """A track in a file of its own, read at random with libsndfile. Its first sample is heard when the video begins: `unseen`
    seconds before the first frame is seen.
    """

    def __init__(self, path: Path, unseen: float = 0.0) -> None:
        self._name = path.name
        try:
            self._file = soundfile.SoundFile(path)
        except (soundfile.LibsndfileError, OSError) as error:
            raise SourceError(f"{path.name} cannot be read as sound: {reason(error)}") from error
        self.rate = self._file.samplerate
        self._first = round(unseen * self.rate)
        self.seconds = max(0, self._file.frames - self._first) / self.rate
        self._dtype = "int16" if self._file.subtype == "PCM_16" else "float32"

    def read(self, start: int, count: int) -> np.ndarray:
        start += self._first
        low, high = max(start, 0), min(start + count, self._file.frames)
        if low >= high:
            return np.zeros((count, self._file.channels), self._dtype)
        try:
            self._file.seek(low)
            data = self._file.read(high - low, dtype=self._dtype, always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise SourceError(f"{self._name} breaks off at {low / self.rate:.2f} s: {reason(error)}") from error
        if len(data) < high - low:
            raise SourceError(f"{self._name} breaks off at {(low + len(data)) / self.rate:.2f} s of {self.seconds:.2f} s")
        if len(data) == count:
            return data
        out = np.zeros((count, self._file.channels), self._dtype)
        out[low - start : high - start] = data
        return out

    def close(self) -> None:
        self._file.close()


class VideoSound:
    """The sound track inside a video, decoded from front to back; its clock is that of the video stream, whose first frame is seen
    `unseen` seconds after the stream's beginning.
    """

    def __init__(self, path: Path, unseen: float = 0.0) -> None:
        facts = sound_facts(path)
        self.rate, self._channels = facts.rate, facts.channels
        self._name = path.name
        self._opened = opened(path, "audio")
        container, stream = self._opened.__enter__()
        self._origin = (start_time(container.streams.video[0]) if container.streams.video else 0.0) + unseen
        self.seconds = max(0.0, facts.seconds + start_time(stream) - self._origin)
        self._resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=self.rate)
        self._frames = container.decode(stream)
        self._held = np.zeros((0, self._channels), np.float32)
        self._start = self._end = 0  # position on the video's clock, in samples, of the first held sample and after the last
        self._ended = False

    def read(self, start: int, count: int) -> np.ndarray:
        self._forget(start - self.rate)
        while not self._ended and self._start + len(self._held) < start + count:
            self._append()
        out = np.zeros((count, self._channels), np.float32)
        low, high = max(start, self._start), min(start + count, self._start + len(self._held))
        if low < high:
            out[low - start : high - start] = self._held[low - self._start : high - self._start]
        if self._end < min(start + count, (self.seconds - _SLACK) * self.rate):
            raise SourceError(f"the sound of {self._name} breaks off at {self._end / self.rate:.2f} s of {self.seconds:.2f} s")
        return out

    def _append(self) -> None:
        try:
            frame = next(self._frames, None)
            parts = self._resampler.resample(frame) if frame else []
        except (av.error.FFmpegError, ValueError) as error:  # ValueError: rate or channels change within the track
            raise SourceError(f"the sound of {self._name} breaks off at {self._end / self.rate:.2f} s: {reason(error)}") from error
        if frame is None:
            self._ended = True
            return
        at = self._end
        if frame.pts is not None:
            at = round((float(frame.pts * frame.time_base) - self._origin) * self.rate)
        for part in parts:
            samples = part.to_ndarray().reshape(-1, self._channels)
            if not len(self._held):
                self._start = at
            elif at > self._end + _HOLE * self.rate:  # a hole in the track stays silent and keeps its length
                samples = np.concatenate([np.zeros((at - self._end, self._channels), np.float32), samples])
            self._held = np.concatenate([self._held, samples])
            self._end = self._start + len(self._held)

    def _forget(self, before: int) -> None:
        if before > self._start:
            self._held = self._held[before - self._start :]
            self._start = before if len(self._held) else self._start

    def close(self) -> None:
        self._opened.__exit__(None, None, None)


def open_track(path: Path, rate: int, *, ambisonic: bool = False, unseen: float = 0.0) -> Track:
    """The sound in this file, or the sound track of this video, to be read at `rate` Hz; four channels of ambiX as eight ears.

    Args:
        unseen: seconds that are heard before the first frame of the video is seen, and are left out (`media.beginning`).

    Raises:
        SourceError: unreadable, or its rate has so little in common with `rate` that the filter would fill the memory.
    """
    track: Track = SoundFile(path, unseen) if path.suffix.lower() in SOUND_FILES else VideoSound(path, unseen)
    step = math.gcd(track.rate, rate)
    if track.rate // step * (rate // step) > _LARGEST_FILTER:
        track.close()
        raise SourceError(f"{path.name} has an odd sample rate, {track.rate} Hz, which cannot be brought to {rate} Hz")
    if ambisonic:
        from dataio.ingest.media.ambisonics import BinauralTrack

        return BinauralTrack(track)
    return track


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
