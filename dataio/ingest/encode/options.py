"""What a user asks a clip to hold. Wrong values are errors here, before anything is read."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Picture = Literal["jpeg", "h264", "hevc", "vp9", "av1", "copy"]
Sound = Literal["pcm", "flac"]

_CODECS = ("h264", "hevc", "vp9", "av1")
_RECORDINGS = ("folder", "omniaudio", "yt360", "synthetic")
_ALL = (*_RECORDINGS, "images")
_ANY = get_args(Picture)
_USED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "size": (_ALL, ("jpeg", *_CODECS)),
    "fps": (_RECORDINGS, ("jpeg", *_CODECS)),
    "frames": (_RECORDINGS, _ANY),
    "quality": (_ALL, ("jpeg", *_CODECS)),
    "gop": (_RECORDINGS, _CODECS),
    "sound": (_RECORDINGS, _ANY),
    "rate": (_RECORDINGS, _ANY),
    "seconds": (_RECORDINGS, _ANY),
    "flow": (_RECORDINGS, _ANY),
    "mask": (_RECORDINGS, _ANY),
    "silence": (_RECORDINGS, _ANY),
    "allow_mono": (("folder",), _ANY),
    "split": (("folder", "yt360", "synthetic", "images"), _ANY),
}
"""Option → the layouts, and the kinds of frames, for which it changes anything."""
_DRAWN = {"flow", "mask"}  # of frames at `size` and `fps`, also where the frames themselves are copied


def check_used(chosen: Collection[str], layout: str, frames: str) -> None:
    """That every option which the user has chosen does something.

    Args:
        chosen: their names, as in `_USED`. layout, frames: of the build, whether chosen or not.

    Raises:
        ValueError: one would change nothing; the message names it, and where it does.
    """
    for option in chosen:
        layouts, kinds = _USED[option]
        name = "--clip-seconds" if option == "seconds" else f"--{option.replace('_', '-')}"
        if layout not in layouts:
            raise ValueError(f"{name} does nothing for the layout {layout}; it is for {', '.join(layouts)}")
        drawn = option in ("size", "fps") and (layout == "synthetic" or _DRAWN & set(chosen))
        if layout != "images" and frames not in kinds and not drawn:
            raise ValueError(f"{name} does nothing with --frames {frames}; it is for {', '.join(kinds)}")


@dataclass(frozen=True)
class EncodeOptions:
    """What a clip holds.

    seconds: its length. fps: frames stored per second. size: (height, width), pixels. rate: of the sound, Hz.
    frames: `jpeg` keeps each frame as a member; a codec (`h264`, `hevc`, `vp9`, `av1`) puts them into one container; `copy` keeps
        the recording's own packets, from the key frame before the clip on, at their own size and rate.
    quality: 1 … 100, of JPEGs and, by a table, of the codecs. gop: frames from one key frame to the next, for the codecs.
    sound: `pcm`, or `flac`, which is smaller and has to be read whole.
    flow, mask: also store the motion between two frames, and what moves in front of the background.
    still: for image sets, (height, width) that a picture is shrunk to cover; None keeps pictures as they are.
    silence: leave out a clip whose every ear is this many dB below the recording's mean level; None keeps all. The authors of the
        paper's data set use a mean square of 2e-4 against 1e-2, which is 17 dB.

    Raises:
        ValueError: a value that makes no clip; the message names it.
    """

    seconds: float = 2.0
    fps: float = 4.0
    size: tuple[int, int] = (256, 512)
    rate: int = 96_000
    quality: int = 90
    frames: Picture = "jpeg"
    gop: int = 8
    sound: Sound = "pcm"
    flow: bool = False
    mask: bool = False
    still: tuple[int, int] | None = None
    silence: float | None = None

    def __post_init__(self) -> None:
        if not 8_000 <= self.rate <= 768_000:
            raise ValueError(f"rate {self.rate} is outside 8000 … 768000 Hz")
        if self.seconds <= 0 or not float(self.seconds * self.rate).is_integer():
            raise ValueError(f"clip seconds {self.seconds} must be positive and a whole number of samples at {self.rate} Hz")
        if not float(self.seconds * self.fps).is_integer() or self.seconds * self.fps < 1:
            raise ValueError(f"fps {self.fps:g} gives no whole number of frames in a clip of {self.seconds:g} s")
        if min(self.size) < 8 or max(self.size) > 16_384:
            raise ValueError(f"size {self.size[0]}x{self.size[1]} is outside 8 … 16384 pixels a side")
        if self.still and min(self.still) < 8:
            raise ValueError(f"size {self.still[0]}x{self.still[1]} is below 8 pixels a side")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality {self.quality} is outside 1 … 100")
        for name, value, kinds in (("frames", self.frames, Picture), ("sound", self.sound, Sound)):
            if value not in get_args(kinds):
                raise ValueError(f"{name} {value!r} is unknown; there are {', '.join(get_args(kinds))}")
        if self.frames not in ("jpeg", "copy") and (self.size[0] % 2 or self.size[1] % 2):
            raise ValueError(f"size {self.size[0]}x{self.size[1]}: {self.frames} needs even sides")
        if self.frames == "hevc" and min(self.size) < 16:
            raise ValueError(f"size {self.size[0]}x{self.size[1]}: hevc needs at least 16 pixels a side")
        if self.frames == "av1" and self.size[0] > 8192:
            raise ValueError(f"size {self.size[0]}x{self.size[1]}: av1 takes at most 8192 rows")
        if self.gop < 1:
            raise ValueError(f"gop {self.gop} must be at least 1")
        if self.frames == "jpeg" and self.count > 1000:
            raise ValueError(f"{self.count} frames a clip: their members are numbered with three digits; use fewer, or a codec")
        if (self.flow or self.mask) and self.count < 2:
            raise ValueError(f"flow and mask need two frames a clip, and fps {self.fps:g} gives {self.count}")
        if (self.flow or self.mask) and min(self.size) < 32:
            raise ValueError(f"size {self.size[0]}x{self.size[1]}: flow and mask need at least 32 pixels a side")
        if self.silence is not None and not 0 < self.silence < math.inf:
            raise ValueError(f"silence {self.silence:g} dB must be positive: it is how far below the mean a clip may lie")

    @property
    def count(self) -> int:
        """Frames of a clip that stand for its times; what `copy` stores may be more."""
        return round(self.seconds * self.fps)

    @property
    def samples(self) -> int:
        """Samples of a clip's sound, per ear."""
        return round(self.seconds * self.rate)
