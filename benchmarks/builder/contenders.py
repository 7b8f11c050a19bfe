"""What an ideal builder would be made of: each stage alone, by every implementation at hand, single-threaded, on one recording."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from dataio.format.clip import PAIRS, frame_times
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.encode.pictures import jpeg
from dataio.ingest.media.picture import Shown, frames_at

Contenders = dict[str, Callable[[], object]]
_WAV = 44


def stages(folder: Path, options: EncodeOptions, clips: int) -> dict[str, Contenders]:
    """Contenders by stage; each call does the work of all `clips` clips of the recording r00."""
    path = folder / "r00.mp4"
    times = [t for i in range(clips) for t in frame_times(i * options.seconds, options.seconds, options.count)]
    shown = list(frames_at(path, times[: 4 * options.count]))  # of four clips: 4K frames of all would fill the memory
    rgb = [picture.rgb(*options.size) for picture in shown]
    scale = len(times) / len(shown)
    return {
        "decode": {
            "PyAV, every frame": lambda: _every(path),
            "Sonosphere, needed frames": lambda: sum(1 for _ in frames_at(path, times)),
        },
        "scale": {"swscale, area": _repeat(lambda: [s.rgb(*options.size) for s in shown], scale)} | _cv2(shown, options, scale),
        "encode": _encoders(rgb, options.quality, scale),
        "sound": {
            "libsndfile, windows": lambda: _sndfile(folder, options, clips),
            "pread": lambda: _pread(folder, options, clips),
        },
    }


def _repeat(run: Callable[[], object], times: float) -> Callable[[], object]:
    """The work of a sample, as often as it fits into the whole."""
    return lambda: [run() for _ in range(round(times))]


def _every(path: Path) -> int:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def _cv2(shown: list[Shown], options: EncodeOptions, scale: float) -> Contenders:
    """OpenCV shrinks pictures that are RGB already, so its colour conversion by swscale counts too."""
    import cv2

    def run() -> object:
        size = options.size[::-1]
        return [cv2.resize(s.picture.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA) for s in shown]

    return {"swscale to RGB, OpenCV area": _repeat(run, scale)}


def _encoders(rgb: list[np.ndarray], quality: int, scale: float) -> Contenders:
    import cv2
    from PIL import Image

    def pillow(picture: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    def opencv(picture: np.ndarray) -> object:
        return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])

    found: dict[str, Callable[[np.ndarray], object]] = {
        "Pillow": pillow,
        "OpenCV": opencv,
        "libjpeg-turbo (simplejpeg)": lambda picture: jpeg(picture, quality),
    }
    return {name: _repeat(partial(_each, run, rgb), scale) for name, run in found.items()}


def _each(run: Callable[[np.ndarray], object], pictures: list[np.ndarray]) -> list[object]:
    return [run(picture) for picture in pictures]


def _sndfile(folder: Path, options: EncodeOptions, clips: int) -> int:
    import soundfile

    heard = 0
    for pair in PAIRS:
        with soundfile.SoundFile(folder / f"r00.{pair}.wav") as file:
            for _ in range(clips):
                heard += len(file.read(options.samples, dtype="int16", always_2d=True))
    return heard


def _pread(folder: Path, options: EncodeOptions, clips: int) -> int:
    """As if it were known beforehand that the file is what the shard wants."""
    heard = 0
    for pair in PAIRS:
        with open(folder / f"r00.{pair}.wav", "rb", buffering=0) as file:
            file.seek(_WAV)
            for _ in range(clips):
                heard += len(file.read(4 * options.samples) or b"")
    return heard
