"""What a source hands to the builder: recordings, each with its picture, its ears and its place in a split."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Ear:
    """Where one ear is recorded: a channel of a sound file, or of the sound track inside a video."""

    path: Path
    channel: int


@dataclass(frozen=True)
class Recording:
    """One continuous capture.

    name: as the user knows it (relative to the source, without suffix). video: the equirectangular video.
    pairs: binaural pair → (left ear, right ear). classes: a video of class ids, one per pixel, or None.
    split: given by the source, or None to let the builder deal. mono: the two ears are the same track, by the user's leave.
    ambisonic: the sound is first-order ambisonics (ambiX); its ears are numbered as in EARS, once it has been decoded.
    family: recordings of one family were cut from the same capture and must share a split; None for one that stands alone.
    """

    name: str
    video: Path
    pairs: dict[str, tuple[Ear, Ear]] = field(default_factory=dict)
    classes: Path | None = None
    split: str | None = None
    mono: bool = False
    ambisonic: bool = False
    family: str | None = None


@dataclass(frozen=True)
class Refused:
    """A recording that the source will not hand out, and why, in one sentence."""

    name: str
    reason: str


Found = Recording | Refused
