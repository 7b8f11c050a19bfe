"""Who decodes the frames: decided once, when a loader is made, and said aloud where it is not what one would expect."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

Name = Literal["turbo", "torchvision", "pyav", "dali"]
NAMES: tuple[str, ...] = ("auto", *get_args(Name))


@dataclass(frozen=True)
class Decoder:
    """name: who decodes. note: why it is not the usual one, or empty."""

    name: Name
    note: str = ""


def choose(asked: str, picture: str, device: str) -> Decoder:
    """The decoder for pictures of this kind (`Media.picture`) on this device.

    On the CPU JPEGs are decoded by libjpeg-turbo, one at a time, so that a picture is turned while it is in the cache, and
    containers by FFmpeg, which decodes only what is needed; on a GPU everything by DALI (nvJPEG, NVDEC).

    Raises:
        ValueError: this decoder cannot do that; the message says which can.
    """
    if asked not in NAMES:
        raise ValueError(f"decoder={asked!r} must be one of {', '.join(NAMES)}")
    able = able_to(picture, device)
    if asked != "auto":
        if asked not in able:
            raise ValueError(f"decoder={asked!r} does not decode {picture} on {device}; {', '.join(able)} can")
        if asked == "turbo" and find_spec("simplejpeg") is None:
            raise ValueError("decoder='turbo' needs the package simplejpeg, which is not installed")
        return Decoder(asked)  # type: ignore[arg-type]
    if able[0] == "turbo" and find_spec("simplejpeg") is None:
        return Decoder(able[1], f"simplejpeg is not installed, so {able[1]} decodes the JPEGs, which takes longer")
    return Decoder(able[0])


def able_to(picture: str, device: str) -> tuple[Name, ...]:
    """Who can decode this, the best first."""
    if device != "cpu":
        return ("dali",)
    if picture == "jpeg":
        return ("turbo", "torchvision", "dali")
    if picture == "vp9":
        return ("pyav", "dali")
    return ("pyav",)
