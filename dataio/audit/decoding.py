"""Decoding one member, by its extension, to see that it is whole and what it holds."""

import io
import json
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataio.format.index import Facts

MOST_PIXELS = 2**28  # of one picture; a few bytes can claim any number
MOST_SAMPLES = 2**30  # of one sound, over all channels; likewise


class UndecodableError(ValueError):
    """A member that does not decode, or is not what its extension says; the message says why, without its name."""


@dataclass(frozen=True)
class Decoded:
    """facts: what was found; zeros where the kind has no such thing. value: what was decoded, for those who need it:
    (H, W[, C]) uint8 of a picture, (samples, channels) int16 of a sound, `ContainerFacts`, or what a json holds.
    """

    facts: Facts
    value: Any


def decoder(extension: str) -> Callable[[bytes], Decoded] | None:
    """What decodes a member with this extension, or None: its last part says nothing that is known here."""
    if extension == "flow.png":
        return _flow
    return _DECODERS.get(extension.rpartition(".")[2].lower())


def _picture(data: bytes) -> Decoded:
    """By content, not by name: among the world's `.JPEG` files there are PNGs."""
    if data[:2] == b"\xff\xd8":
        import simplejpeg

        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
            _check_pixels(height, width)
            if colours in ("YCbCr", "RGB", "Gray"):
                kind = "GRAY" if colours == "Gray" else "RGB"
                pixels = simplejpeg.decode_jpeg(data, kind)  # strict: a warning of libjpeg's is an error, and says where it broke
                return Decoded(Facts(height=height, width=width), pixels[..., 0] if kind == "GRAY" else pixels)
        except ValueError as error:
            raise UndecodableError(f"does not decode: {error}") from error
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            _check_pixels(image.height, image.width)
            image.load()
            return Decoded(Facts(height=image.height, width=image.width), np.asarray(image))
    except UndecodableError:
        raise
    except Exception as error:  # Pillow's readers raise whatever broken bytes make them stumble over
        raise UndecodableError(f"does not decode: {error or type(error).__name__}") from error


def _check_pixels(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise UndecodableError(f"says that it has {height}x{width} pixels, more than are decoded here")


def _flow(data: bytes) -> Decoded:
    from dataio.format.flow import decode_flow

    try:
        flow, valid = decode_flow(data)
    except ValueError as error:
        raise UndecodableError(f"does not decode: {error}") from error
    return Decoded(Facts(height=flow.shape[0], width=flow.shape[1]), (flow, valid))


def _wav(data: bytes) -> Decoded:
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width, rate, samples = file.getparams()[:4]
            if width == 2:
                pcm = np.frombuffer(file.readframes(samples), "<i2").reshape(-1, channels)
                if len(pcm) != samples:
                    raise UndecodableError(f"breaks off after {len(pcm)} of {samples} samples")
                return Decoded(Facts(rate=rate, channels=channels, samples=samples), pcm)
    except (wave.Error, EOFError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, UndecodableError) or not str(error).startswith("unknown format"):
            raise UndecodableError(f"does not decode: {error}") from error
    return _sound(data)  # 24 bits, or floating point: not ours, but sound


def _sound(data: bytes) -> Decoded:
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, channels, said = file.samplerate, file.channels, file.frames
            if said * channels > MOST_SAMPLES:
                raise UndecodableError(f"says that it has {said} samples, more than are decoded here")
            pcm = file.read(dtype="int16", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise UndecodableError(f"does not decode: {error}") from error
    if len(pcm) != said:
        raise UndecodableError(f"breaks off after {len(pcm)} of {said} samples")
    return Decoded(Facts(rate=rate, channels=channels, samples=len(pcm)), pcm)


def _video(data: bytes) -> Decoded:
    """Every frame is decoded, and counted against the packets."""
    import av

    from dataio.ingest.media.container import probe

    try:
        facts = probe(data)
        with av.open(io.BytesIO(data), "r", metadata_errors="replace") as container:
            container.streams.video[0].codec_context.thread_count = 1
            shapes = [(frame.height, frame.width) for frame in container.decode(video=0)]
    except (ValueError, OSError, av.error.FFmpegError) as error:
        raise UndecodableError(f"does not decode: {error}") from error
    if len(shapes) < facts.frames or set(shapes) != {(facts.height, facts.width)}:
        sizes = ", ".join(f"{height}x{width}" for height, width in sorted(set(shapes)))
        raise UndecodableError(
            f"gives {len(shapes)} frames of {sizes}; its head says {facts.frames} of {facts.height}x{facts.width}"
        )
    return Decoded(Facts(height=facts.height, width=facts.width, frames=facts.frames), facts)


def _json(data: bytes) -> Decoded:
    try:
        return Decoded(Facts(), json.loads(data))
    except (ValueError, RecursionError) as error:
        raise UndecodableError(f"is no JSON: {error}") from error


def _text(data: bytes) -> Decoded:
    try:
        return Decoded(Facts(), data.decode())
    except UnicodeDecodeError as error:
        raise UndecodableError(f"is no UTF-8 text: {error}") from error


_DECODERS: Mapping[str, Callable[[bytes], Decoded]] = (
    dict.fromkeys(("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "ppm", "pgm", "tif", "tiff"), _picture)
    | dict.fromkeys(("wav", "wave"), _wav)
    | dict.fromkeys(("flac", "ogg"), _sound)
    | dict.fromkeys(("mp4", "webm", "mov", "mkv"), _video)
    | {"json": _json, "txt": _text, "cls": _text}
)
