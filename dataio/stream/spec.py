"""What a user asks of a batch. Wrong values are errors here, before anything is read."""

from dataclasses import dataclass
from typing import Literal, get_args

from dataio.format.clip import PAIRS
from dataio.format.manifest import Manifest
from dataio.format.sphere import yaw_step

SoundKind = Literal["log", "magnitude", "complex", "ipd"]
Augmentation = Literal["turn", "mirror"]
FrameType = Literal["float32", "float16"]


class SpecError(ValueError):
    """A field of a ClipSpec cannot be had; the message names the field, the value and what is allowed."""


def _check(ok: bool, field: str, value: object, allowed: str) -> None:
    if not ok:
        raise SpecError(f"{field}={value!r}: {allowed}")


@dataclass(frozen=True)
class ClipSpec:
    """The fields of a batch.

    frames: F, spread evenly over the clip; 0 for no picture. size: (height, width) of the frames.
    pairs: binaural pairs, ears in this order, left first; () for no sound.
    sound: `log` (natural log of max(power, 1e-5)), `magnitude`, `complex` (real, imaginary) or `ipd` (cos, sin of left minus
        right).
    sound_rate: Hz, that of the shards. sound_seconds: length of the window, which is drawn uniformly within the clip.
    yaw_classes: K; the frames are turned by a drawn multiple of 360°/K. None: never turned.
    dtype: of the frames; None: float32 on the CPU, which computes nothing else, and float16 on a GPU.
    augment: `turn` (the world by q·90°: picture and pairs alike) and `mirror` (left and right exchanged, in picture and ears).

    Raises:
        SpecError: a value out of range; the message names the field and what is allowed.
    """

    frames: int = 8
    size: tuple[int, int] = (256, 512)
    pairs: tuple[str, ...] = ("front",)
    sound: SoundKind = "log"
    sound_rate: int = 96_000
    sound_seconds: float = 1.0
    yaw_classes: int | None = None
    augment: tuple[Augmentation, ...] = ()
    dtype: FrameType | None = None

    def __post_init__(self) -> None:
        for field in ("size", "pairs", "augment"):  # lists from recipes are as good as tuples
            object.__setattr__(self, field, tuple(getattr(self, field)))
        _check(self.frames >= 0, "frames", self.frames, "must be 0 (no picture) or more")
        _check(len(self.size) == 2 and min(self.size) >= 1, "size", self.size, "must be (height, width), each at least 1")
        _check(set(self.pairs) <= set(PAIRS), "pairs", self.pairs, f"may hold {', '.join(PAIRS)}")
        _check(len(set(self.pairs)) == len(self.pairs), "pairs", self.pairs, "names a pair twice")
        _check(bool(self.frames or self.pairs), "pairs", self.pairs, "with frames=0 nothing is left to load")
        _check(self.sound in get_args(SoundKind), "sound", self.sound, f"must be one of {', '.join(get_args(SoundKind))}")
        _check(self.sound_seconds > 0, "sound_seconds", self.sound_seconds, "must be positive")
        _check(
            set(self.augment) <= set(get_args(Augmentation)),
            "augment",
            self.augment,
            f"may hold {', '.join(get_args(Augmentation))}",
        )
        _check(self.dtype in (None, *get_args(FrameType)), "dtype", self.dtype, f"must be one of {', '.join(get_args(FrameType))}")
        if "mirror" in self.augment:
            _check(
                ("right" in self.pairs) == ("left" in self.pairs),
                "pairs",
                self.pairs,
                "mirror exchanges right and left: ask for both or neither",
            )
        if self.yaw_classes is not None:
            _check(self.frames > 0, "yaw_classes", self.yaw_classes, "there is no picture to turn with frames=0")
            try:
                yaw_step(self.size[1], self.yaw_classes)
            except ValueError as error:
                raise SpecError(str(error)) from None
        if "turn" in self.augment and self.frames:
            _check(
                self.size[1] % 4 == 0, "size", self.size, "turn moves the picture by quarters: the width must be a multiple of 4"
            )

    @property
    def samples(self) -> int:
        """Samples of a sound window."""
        return round(self.sound_seconds * self.sound_rate)

    @property
    def stored_pairs(self) -> tuple[str, ...]:
        """Pairs that a clip must have: turned, another one faces the front."""
        return PAIRS if self.pairs and "turn" in self.augment else self.pairs

    def check(self, manifest: Manifest) -> None:
        """That this set has what the spec asks for.

        Raises:
            SpecError: it has not; the message names the field, the value and what the set offers.
        """
        media = manifest.media
        if self.frames:
            kept = media.picture or "of no known kind"
            _check(
                media.picture == "jpeg", "frames", self.frames, f"the pictures of this set are {kept}; the loader reads jpeg so far"
            )
            _check(self.frames <= media.frames, "frames", self.frames, f"the clips of this set hold {media.frames}")
        if self.pairs:
            missing = [pair for pair in self.stored_pairs if pair not in media.pairs]
            why = " (turn hears the pair that faces the new front)" if "turn" in self.augment else ""
            _check(not missing, "pairs", self.pairs, f"this set has no {', '.join(missing)}; it has {', '.join(media.pairs)}{why}")
            kept = media.sound or "of no known kind"
            _check(media.sound == "pcm", "pairs", self.pairs, f"the sound of this set is {kept}; the loader reads pcm so far")
            _check(self.sound_rate == media.rate, "sound_rate", self.sound_rate, f"the sound of this set is at {media.rate} Hz")
            most = media.clip_seconds
            _check(self.sound_seconds <= most, "sound_seconds", self.sound_seconds, f"the clips of this set are {most:g} s long")
