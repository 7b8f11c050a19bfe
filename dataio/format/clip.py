"""What one clip is: the names of its members, and the facts a reader needs about each."""

import re

PAIRS = ("front", "right", "back", "left")
"""Binaural pairs in the order of their azimuth (0°, 90°, 180°, 270° clockwise seen from above), left ear first in each."""

EARS = tuple(f"{pair}.{ear}" for pair in PAIRS for ear in ("L", "R"))
"""The eight ears in the channel order of a batch: front L, front R, right L, …"""

KEY_LIMIT = 60  # characters of a recording's slug: with index and extension the member name fits USTAR's 100
INDEX_DIGITS = 6

_PLAIN = re.compile(rb"[A-Za-z0-9-]")


def slug(name: str) -> str:
    """An ASCII name without dot, space or slash for a recording, different for every different `name`.

    Letters, digits and hyphens stand for themselves; every other byte of the UTF-8 text becomes `_` and two hex digits, so
    the map can be undone and no two names meet.

    Raises:
        ValueError: the name is empty or no valid UTF-8, or its slug would be longer than 60 characters.
    """
    try:
        data = name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"recording name {name!r} is not valid UTF-8: rename the file") from None
    text = "".join(chr(b) if _PLAIN.match(bytes([b])) else f"_{b:02x}" for b in data)
    if not text:
        raise ValueError("a recording needs a name; this one is empty")
    if len(text) > KEY_LIMIT:
        raise ValueError(
            f"recording name {name!r} makes a key of {len(text)} characters; the limit is {KEY_LIMIT}: shorten the file name"
        )
    return text


def clip_key(recording: str, index: int) -> str:
    """Key of clip `index` of the recording with this slug: `<slug>-<6 digits>`.

    Raises:
        ValueError: the index does not fit six digits.
    """
    if not 0 <= index < 10**INDEX_DIGITS:
        raise ValueError(f"clip index {index} of recording {recording!r} is outside 0 … {10**INDEX_DIGITS - 1}")
    return f"{recording}-{index:0{INDEX_DIGITS}d}"


def split_key(key: str) -> tuple[str, int]:
    """The slug and the clip index that `clip_key` joined.

    Raises:
        ValueError: the key does not end in a hyphen and six digits.
    """
    recording, _, digits = key.rpartition("-")
    if not recording or len(digits) != INDEX_DIGITS or not digits.isdecimal():
        raise ValueError(f"{key!r} is not a clip key: it should end in a hyphen and {INDEX_DIGITS} digits")
    return recording, int(digits)


def frame_extension(i: int) -> str:
    """Extension of the clip's frame `i`: `f000.jpg`, `f001.jpg`, …"""
    return f"f{i:03d}.jpg"


def pair_extension(pair: str, kind: str = "wav") -> str:
    """Extension of a binaural pair: `front.wav`, … or `front.flac`."""
    return f"{pair}.{kind}"


def frame_times(start: float, seconds: float, frames: int) -> list[float]:
    """Times of the frames of a clip, in seconds of the recording: frame i of F stands for start + i·T/F."""
    return [start + i * seconds / frames for i in range(frames)]
