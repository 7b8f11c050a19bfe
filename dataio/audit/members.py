"""Deep checks: every member of a clip is decoded, and must be what index, manifest and the clip's own json say."""

import io
import json
import wave
from collections.abc import Iterator

import numpy as np
from PIL import Image

from dataio.format.manifest import Media

_RMS_TOLERANCE = 1e-6  # of full scale; the builder computed it from the same samples


def check_clip(files: dict[str, bytes], media: Media) -> Iterator[tuple[str, str]]:
    """(extension, what is wrong) for one clip. files: extension → bytes."""
    try:
        facts = json.loads(files["json"])
        levels = dict(facts["rms"])
        times = [float(t) for t in facts["frame_times"]]
        start, seconds = float(facts["start"]), float(facts["seconds"])
    except (KeyError, TypeError, ValueError) as error:
        yield "json", f"no facts of a clip: {type(error).__name__}: {error}"
        return
    if seconds != media.clip_seconds:
        yield "json", f"the clip lasts {seconds} s, the manifest says {media.clip_seconds}"
    frames = sorted(extension for extension in files if extension.startswith("f") and extension.endswith(".jpg"))
    if len(frames) != media.frames or len(times) != media.frames:
        yield "json", f"{len(frames)} frames and {len(times)} time stamps, the manifest says {media.frames}"
    late = [t for i, t in enumerate(times) if not start - seconds <= t <= start + i * seconds / max(1, media.frames) + 1e-3]
    if late or sorted(times) != times:
        yield "json", f"time stamps {times} do not belong to a clip from {start} s on"
    for extension in frames:
        yield from ((extension, what) for what in _picture(files[extension], "JPEG", "RGB", media.size))
    if "labels.png" in files:
        yield from (("labels.png", what) for what in _picture(files["labels.png"], "PNG", "L", media.size))
    for pair in media.pairs:
        if f"{pair}.wav" in files:
            yield from ((f"{pair}.wav", what) for what in _sound(files[f"{pair}.wav"], pair, media, levels))


def _picture(data: bytes, kind: str, mode: str, size: tuple[int, int]) -> Iterator[str]:
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            image.load()
            if (image.height, image.width) != size or image.mode != mode:
                yield f"a {image.mode} picture of {image.height}x{image.width}; expected {mode}, {size[0]}x{size[1]}"
    except (OSError, SyntaxError, ValueError) as error:
        yield f"does not decode: {error}"


def _sound(data: bytes, pair: str, media: Media, levels: dict[str, float]) -> Iterator[str]:
    try:
        with wave.open(io.BytesIO(data)) as file:
            shape = file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()
            pcm = np.frombuffer(file.readframes(shape[3]), "<i2").reshape(-1, shape[0])
    except (wave.Error, EOFError, ValueError) as error:
        yield f"does not decode: {error}"
        return
    expected = 2, 2, media.rate, round(media.clip_seconds * media.rate)
    if shape != expected or len(pcm) != expected[3]:
        yield f"(channels, bytes, rate, samples) = {shape}, with {len(pcm)} samples there; expected {expected}"
        return
    rms = np.sqrt(np.mean((pcm.astype(np.float64) / 32768) ** 2, 0))
    for ear, value in zip("LR", rms, strict=True):
        said = levels.get(f"{pair}.{ear}")
        if said is None or abs(said - value) > _RMS_TOLERANCE:
            yield f"RMS of {ear} is {value:.6f}, its json says {said}"
