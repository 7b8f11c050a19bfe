"""Recordings made on the fly: videos whose frames say which they are, sounds whose clicks say when."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from dataio.ingest.encode.scheduling import scheduling_kept

CLOCK = 90_000  # ticks a second of the video's time stamps
BITS = 8  # stripes of a numbered frame
H264 = {"preset": "ultrafast", "crf": "12", "x264-params": "threads=1:lookahead-threads=1"}


def numbered(number: int, height: int = 64, width: int = 128) -> np.ndarray:
    """A grey picture whose eight upright stripes are the bits of `number`, highest first: (height, width, 3) uint8."""
    bits = [(number >> bit) & 1 for bit in reversed(range(BITS))]
    row = np.repeat(np.array([40 + 170 * bit for bit in bits], np.uint8), width // BITS)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def read_number(picture: np.ndarray) -> int:
    """The number that `numbered` drew, from a picture of any size."""
    height, width = picture.shape[:2]
    middles = [width * (2 * i + 1) // (2 * BITS) for i in range(BITS)]
    levels = [picture[height // 4 : 3 * height // 4, max(0, x - 1) : x + 2].mean() for x in middles]
    return sum(int(level > 125) << (BITS - 1 - i) for i, level in enumerate(levels))


def plain(level: int, height: int = 64, width: int = 128) -> np.ndarray:
    """A picture of one grey level: (height, width, 3) uint8."""
    return np.full((height, width, 3), level, np.uint8)


def make_video(
    path: Path,
    pictures: Iterable[np.ndarray],
    *,
    fps: float = 30,
    times: Sequence[float] | None = None,
    start: float = 0.0,
    codec: str = "libx264",
    gop: int = 12,
    b_frames: int = 0,
    sound: np.ndarray | None = None,
    sound_rate: int = 48_000,
    sound_codec: str = "aac",
    sound_start: float | None = None,
) -> Path:
    """Write a video, with a sound track of its own if asked for.

    Args:
        times: of the frames, in seconds from the first; None for a constant rate.
        start: time stamp of the first frame (and of the first sample, if `sound_start` does not say otherwise), in seconds.
        gop: frames from one key frame to the next.
        sound: (samples, channels) float in [−1, 1].
    """
    with scheduling_kept(), av.open(str(path), "w") as container:
        options = H264 | {"x264-params": f"{H264['x264-params']}:bframes={b_frames}:scenecut=0"} if codec == "libx264" else {}
        video = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        assert isinstance(video, VideoStream)
        video.codec_context.time_base = Fraction(1, CLOCK)
        video.codec_context.gop_size = gop
        video.codec_context.thread_count = 1
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        audio = None
        if sound is not None:
            audio = container.add_stream(sound_codec, rate=sound_rate, layout="stereo" if sound.shape[1] == 2 else "mono")
            if sound_codec == "aac":
                audio.bit_rate = 256_000
        for i, picture in enumerate(pictures):
            if i == 0:
                video.height, video.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = round((start + (times[i] if times else i / fps)) * CLOCK), Fraction(1, CLOCK)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _encode_sound(container, audio, sound, sound_rate, start if sound_start is None else sound_start)
    return path


def _encode_sound(container: av.container.OutputContainer, stream: AudioStream, sound: np.ndarray, rate: int, start: float) -> None:
    size = 1024
    resampler = av.AudioResampler(format=stream.format, layout=stream.layout, rate=rate)
    for at in range(0, len(sound), size):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[at : at + size].T, np.float32), "fltp", stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate) + at, Fraction(1, rate)
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
    container.mux(stream.encode(None))


def make_sound(path: Path, sound: np.ndarray, rate: int = 96_000, subtype: str | None = "PCM_16") -> Path:
    """Write a sound file: (samples, channels) int16, or float in [−1, 1]."""
    soundfile.write(path, sound, rate, subtype=None if path.suffix == ".ogg" else subtype)
    return path


def clicks(seconds: float, times: Sequence[float], rate: int = 96_000, channels: int = 2, level: float = 0.5) -> np.ndarray:
    """Silence with one-sample clicks at these times: (samples, channels) float32."""
    sound = np.zeros((round(seconds * rate), channels), np.float32)
    for time in times:
        sound[round(time * rate)] = level
    return sound


def noise(seconds: float, rate: int = 96_000, channels: int = 2, seed: int = 0) -> np.ndarray:
    """White noise at a tenth of full scale: (samples, channels) float32."""
    return (np.random.default_rng(seed).standard_normal((round(seconds * rate), channels)) * 0.1).clip(-1, 1).astype(np.float32)
