"""A clip that may be shown, and its members as they lie in a tar: read within bounds, and checked."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dataio.audit.facts import binary
from dataio.audit.inspect.text import reason, short
from dataio.format import index

MEMBER = 64 * 2**20  # bytes; larger members are named, not shown
FACTS = 2**20  # bytes of a json member that are still facts

FRAME = re.compile(r"f\d{3,}\.jpe?g")
PICTURES, VIDEOS = ("jpg", "jpeg", "png", "webp", "bmp"), ("mp4", "webm", "mkv", "mov", "avi")
SOUNDS, TEXTS = ("wav", "flac", "ogg", "mp3"), ("txt", "text", "cls", "caption", "csv", "xml")

T = TypeVar("T")


@dataclass(frozen=True)
class Clip:
    """A clip that may be shown. members: extension → (offset, length, CRC-32C or −1, frames), in the order of the tar."""

    shard: str
    split: str
    key: str
    recording: str
    start: float
    members: dict[str, tuple[int, int, int, int]]


class Members:
    """Shows the members of one clip. problems: a sentence for each that could not be read or decoded."""

    def __init__(self, folder: Path, clip: Clip) -> None:
        self._folder, self._clip = folder, clip
        self.problems: list[str] = []

    def show(self, name: str, how: Callable[[bytes], T]) -> T | None:
        """What `how` makes of this member; None where the clip has none, or where that is now among the problems."""
        if name not in self._clip.members:
            return None
        try:
            return how(read(self._folder / f"{self._clip.shard}.tar", *self._clip.members[name][:3]))
        except Exception as error:  # decoders meet damage with a dozen kinds of exception
            self.problems.append(short(f"{name}: {reason(error, self._folder)}"))
            return None


def read(path: Path, offset: int, length: int, crc: int, most: int = MEMBER) -> bytes:
    """The bytes of a member. Raises ValueError where they are too many or not the right ones, OSError where they cannot be read."""
    if length > most:
        raise ValueError(f"is too large to be shown: {binary(length)}")
    with open(path, "rb") as tar:
        tar.seek(offset)
        data = tar.read(length)
    if len(data) < length or (crc >= 0 and index.crc32c(np.frombuffer(data, np.uint8)) != crc):
        raise ValueError("does not match its checksum" if len(data) == length else "lies beyond the end of its tar")
    return data


def json_object(data: bytes) -> dict[str, Any]:
    """Raises ValueError unless these are the facts of a clip."""
    try:
        known = json.loads(data)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(known, dict):
        raise ValueError("is no JSON object")
    return known


def class_name(known: dict[str, Any], classes: Sequence[str]) -> str:
    """The class of a picture by its json, where it is a row of `classes` or a name; else nothing."""
    value = next((known[name] for name in ("class", "label", "cls") if name in known), None)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(classes):
        return short(classes[value])
    return short(value) if isinstance(value, str) else ""


def is_number(value: object) -> bool:
    """Whether this value of a json is a number with which one can reckon."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e12 < value < 1e12
