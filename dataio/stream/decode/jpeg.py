"""Frames from JPEGs on the CPU: each is decoded into a buffer that stays in the cache, and turned from there into the batch.

What a JPEG means is what libjpeg's accurate integer transform, interpolated colour and its own conversion to RGB make of it: its
defaults, and bit for bit the same from libjpeg-turbo, torchvision, OpenCV and DALI on the CPU. The faster flags (fastdct,
fastupsample) save 11 % of the time and put 11 % of all values off by more than two levels, so nobody uses them here.
"""

import threading
import time
from importlib.util import find_spec
from typing import Any, Literal, get_args

import numpy as np

from dataio.stream.decode.errors import DecodeError
from dataio.stream.kernels import rotate
from dataio.stream.kernels.turner import Turner

Decoder = Literal["turbo", "torchvision"]
_PACKAGES = {"turbo": "simplejpeg", "torchvision": "torchvision"}
_DIVISORS = (8, 4, 2)  # libjpeg-turbo's other fractions have no vector code, and take twice as long as the whole picture


def available() -> tuple[Decoder, ...]:
    """Who can decode JPEGs on this machine, the fastest first."""
    return tuple(name for name in get_args(Decoder) if find_spec(_PACKAGES[name]) is not None)


def decode(jpeg: np.ndarray, out: np.ndarray, decoder: Decoder = "turbo", *, divisor: int = 1) -> None:
    """Decode one picture. Releases the GIL.

    Args:
        jpeg: (n,) uint8, a whole file; baseline or progressive, grey or colour.
        out: (H, W, 3) uint8, C-contiguous: filled with RGB.
        divisor: 1, 2, 4 or 8; decode H · divisor by W · divisor pixels at this reduced scale, which only `turbo` does.

    Raises:
        DecodeError: truncated, damaged as far as the decoder notices, no JPEG, or of another size. `turbo` refuses what libjpeg
            warns of; torchvision lets some of it pass, and prints the warning.
    """
    if not jpeg.size:
        raise DecodeError("the picture is empty")
    if decoder == "turbo":
        _turbo(jpeg, out, divisor)
    else:
        _torchvision(jpeg, out)


def _turbo(jpeg: np.ndarray, out: np.ndarray, divisor: int) -> None:
    import simplejpeg

    height, width, _ = out.shape
    expected = height * divisor, width * divisor
    least: dict[str, Any] = {"min_height": height, "min_width": width, "min_factor": divisor} if divisor > 1 else {}
    try:
        found = simplejpeg.decode_jpeg_header(jpeg)[:2] if divisor > 1 else expected  # unscaled, the result tells its size
        if found == expected:
            height, width, _ = simplejpeg.decode_jpeg(jpeg, "RGB", buffer=out, **least).shape
            found = height * divisor, width * divisor
    except (ValueError, MemoryError) as error:
        raise DecodeError(_reason(jpeg, str(error), expected)) from error
    if found != expected:
        raise DecodeError(_another(found, expected))


def _torchvision(jpeg: np.ndarray, out: np.ndarray) -> None:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    data = torch.from_numpy(jpeg if jpeg.flags.writeable else jpeg.copy())
    try:
        pixels = decode_jpeg(data, ImageReadMode.RGB).permute(1, 2, 0).numpy()
    except RuntimeError as error:
        raise DecodeError(str(error).splitlines()[0]) from error
    if pixels.shape != out.shape:
        raise DecodeError(_another(pixels.shape[:2], out.shape[:2]))
    out[...] = pixels


def _reason(jpeg: np.ndarray, said: str, expected: tuple[int, int]) -> str:
    """What is wrong, in words; libjpeg's own where there are none better."""
    import simplejpeg

    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError:
        return f"no JPEG, or cut short in its header ({said})"
    return said if (height, width) == expected else _another((height, width), expected)


def _another(found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    return f"the picture is {found[0]}x{found[1]}, where all of the set are {expected[0]}x{expected[1]} (height x width)"


class JpegFrames:
    """Writes the frames of clips. Safe to use from several threads: each has its own buffer, of one picture.

    Args:
        stored, size: (height, width) in the files, and in the batch.
        decoder: one of `available`.
        reduced: decode at half, quarter or eighth scale where this is not smaller than `size`. At half the size or less this saves
            a fifth to a third of the work on frames, but the pictures differ from those resized from all pixels, which are softer
            where the scale alone makes the size: 36 to 43 dB there, 41 to 54 dB at smaller sizes. So it is not the default.

    Raises:
        ValueError: this decoder is not installed, or cannot decode at reduced scale.
    """

    def __init__(
        self, stored: tuple[int, int], size: tuple[int, int], decoder: Decoder = "turbo", *, reduced: bool = False
    ) -> None:
        if decoder not in available():
            raise ValueError(f"decoder={decoder!r} does not decode JPEGs here; {', '.join(available()) or 'nobody'} can")
        if reduced and decoder != "turbo":
            raise ValueError(f"reduced={reduced}: {decoder} decodes whole pictures only; turbo decodes at reduced scale")
        self.name: Decoder = decoder
        self.divisor = _divisor(stored, size) if reduced else 1
        self._shape = (stored[0] // self.divisor, stored[1] // self.divisor, rotate.CHANNELS)
        self._plan = rotate.plan(self._shape[:2], size)
        self._own = threading.local()

    def write(
        self, jpegs: list[np.ndarray], shift: int, mirror: bool, out: np.ndarray, tilt: tuple[float, float] | None = None
    ) -> tuple[float, float]:
        """Decode, turn, resize and normalise the frames of one clip.

        Args:
            jpegs: F files, uint8. shift: in columns of `size`; mirror: exchange left and right; both as in `rotate`.
            out: (3, F, height, width) float32, C-contiguous, filled. tilt: pitch and roll in degrees, None to stay level.

        Returns:
            Seconds of processor time that this thread took to decode, and to turn.

        Raises:
            DecodeError: as `decode`; `part` says which of the files. ValueError: `out` is of a wrong shape or dtype.
        """
        if out.shape[:2] != (rotate.CHANNELS, len(jpegs)):
            raise ValueError(f"out has shape {out.shape}; expected (3, {len(jpegs)}, height, width)")
        picture, turner = self._buffer(), Turner(shift, mirror, tilt)
        decoding, begin = 0.0, time.thread_time()
        start = begin
        for i, jpeg in enumerate(jpegs):
            try:
                decode(jpeg, picture, self.name, divisor=self.divisor)
            except DecodeError as error:
                raise DecodeError(error.reason, i) from error.__cause__
            decoded = time.thread_time()
            turner.write(picture, i, self._plan, out)
            decoding, start = decoding + decoded - start, time.thread_time()
        return decoding, start - begin - decoding

    def _buffer(self) -> np.ndarray:
        if not hasattr(self._own, "picture"):
            self._own.picture = np.empty(self._shape, np.uint8)
        return self._own.picture


def _divisor(stored: tuple[int, int], size: tuple[int, int]) -> int:
    """The largest that divides the stored size, and leaves no less than the size asked for."""
    fits = (d for d in _DIVISORS if not any(n % d for n in stored) and all(n // d >= m for n, m in zip(stored, size, strict=True)))
    return next(fits, 1)
