"""What a user asks of a batch. Wrong values are errors here, before anything is read."""

from dataclasses import dataclass
from typing import Literal, get_args

from dataio.format.clip import PAIRS
from dataio.format.manifest import Manifest, Media
from dataio.format.sphere import yaw_step

CONTAINERS = ("h264", "hevc", "vp9", "av1", "copy")
"""Kinds of picture that keep all frames of a clip in one video file."""

MAPS = ("flow", "mask", "labels")
"""Fields that are pictures of something else than light; they turn with the frames."""

LEAST_SAMPLES = 257
"""Of a sound window: half a Hann window is reflected at either end (kernels/stft.py)."""

MOST_TILT = 90
"""Degrees: to look straight up or down, or to lie on one's side."""

SoundKind = Literal["log", "magnitude", "complex", "ipd"]
Augmentation = Literal["turn", "mirror"]
FrameType = Literal["float32", "float16"]


class SpecError(ValueError):
    """A field of a ClipSpec cannot be had; the message names the field, the value and what is allowed."""


def _check(ok: bool, field: str, value: object, allowed: str) -> None:
    if not ok:
        raise SpecError(f"{field}={value!r}: {allowed}")


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


@dataclass(frozen=True)
class ClipSpec:
    """The fields of a batch.

    frames: F, spread evenly over the clip; 0 for no picture. size: (height, width) of the frames.
    pairs: binaural pairs, ears in this order, left first; () for no sound.
    sound: `log` (natural log of max(power, 1e-5)), `magnitude`, `complex` (real, imaginary) or `ipd` (cos, sin of left minus
        right).
    sound_rate: Hz, that of the shards. sound_seconds: length of the window, which is drawn uniformly within the clip.
    yaw_classes: K; the frames are turned by a drawn multiple of 360°/K. None: never turned.
    reduced: decode JPEGs at half, quarter or eighth of their size where `size` is no larger, and containers at a whole fraction
        where it is half of that: faster, and a little sharper than resizing from all pixels (JPEGs: 36 to 43 dB apart).
    tilt: degrees; the viewer of every clip is pitched and rolled by angles drawn uniformly from ±tilt, picture and maps, though not
        the pairs. Tilting interpolates, which yaw does not (kernels/tilt.py). 0: always level.
    dtype: of the frames; None: float32 on the CPU, which computes nothing else, and float16 on a GPU.
    augment: `turn` (the world by q·90°: picture and pairs alike) and `mirror` (left and right exchanged, in picture and ears).
    partner: also a sound window of another clip of the same recording, and the gap between the two.
    reach: seconds, the largest gap; a batch reports gaps as fractions of it.
    flow, mask, labels: motion, moving foreground and semantic classes, turned and mirrored with the frames.

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
    partner: bool = False
    reach: float = 60.0
    flow: bool = False
    mask: bool = False
    labels: bool = False
    reduced: bool = False
    dtype: FrameType | None = None
    tilt: float = 0.0

    def __post_init__(self) -> None:
        for field in ("size", "pairs", "augment"):  # lists from recipes are as good as tuples
            object.__setattr__(self, field, tuple(getattr(self, field)))
        _check(_whole(self.frames, 0), "frames", self.frames, "must be 0 (no picture) or a whole number of them")
        sides = len(self.size) == 2 and all(_whole(side, 1) for side in self.size)
        _check(sides, "size", self.size, "must be (height, width), each a whole number and at least 1")
        _check(set(self.pairs) <= set(PAIRS), "pairs", self.pairs, f"may hold {', '.join(PAIRS)}")
        _check(len(set(self.pairs)) == len(self.pairs), "pairs", self.pairs, "names a pair twice")
        _check(bool(self.pictured or self.pairs), "pairs", self.pairs, "with frames=0 nothing is left to load")
        _check(bool(self.pairs) or not self.partner, "partner", self.partner, "a partner is heard: name at least one pair")
        _check(self.reach > 0, "reach", self.reach, "must be a positive number of seconds")
        _check(self.sound in get_args(SoundKind), "sound", self.sound, f"must be one of {', '.join(get_args(SoundKind))}")
        _check(self.sound_rate > 0, "sound_rate", self.sound_rate, "must be a positive number of Hz")
        _check(self.sound_seconds > 0, "sound_seconds", self.sound_seconds, "must be positive")
        least = f"a spectrogram needs {LEAST_SAMPLES} samples, {LEAST_SAMPLES / self.sound_rate:g} s"
        enough = not self.pairs or self.sound_seconds * self.sound_rate >= LEAST_SAMPLES
        _check(enough, "sound_seconds", self.sound_seconds, least)
        _check(
            set(self.augment) <= set(get_args(Augmentation)),
            "augment",
            self.augment,
            f"may hold {', '.join(get_args(Augmentation))}",
        )
        _check(self.dtype in (None, *get_args(FrameType)), "dtype", self.dtype, f"must be one of {', '.join(get_args(FrameType))}")
        level = isinstance(self.tilt, int | float) and not isinstance(self.tilt, bool) and 0 <= self.tilt <= MOST_TILT
        _check(level, "tilt", self.tilt, f"must be from 0 to {MOST_TILT} degrees")
        _check(self.pictured or not self.tilt, "tilt", self.tilt, "there is no picture to tilt with frames=0")
        if "mirror" in self.augment:
            _check(
                ("right" in self.pairs) == ("left" in self.pairs),
                "pairs",
                self.pairs,
                "mirror exchanges right and left: ask for both or neither",
            )
        if self.yaw_classes is not None:
            _check(_whole(self.yaw_classes, 1), "yaw_classes", self.yaw_classes, "must be a whole number, at least 1, or None")
            _check(self.pictured, "yaw_classes", self.yaw_classes, "there is no picture to turn with frames=0")
            try:
                yaw_step(self.size[1], self.yaw_classes)
            except ValueError as error:
                raise SpecError(str(error)) from None
        if "turn" in self.augment and self.pictured:
            _check(
                self.size[1] % 4 == 0, "size", self.size, "turn moves the picture by quarters: the width must be a multiple of 4"
            )

    @property
    def maps(self) -> tuple[str, ...]:
        """Which of flow, mask and labels are asked for."""
        return tuple(name for name in MAPS if getattr(self, name))

    @property
    def pictured(self) -> bool:
        """Whether there is anything to look at, and so to turn."""
        return bool(self.frames or self.maps)

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
            _check(media.picture != "still", "frames", self.frames, "this is a set of single pictures: read it with ImageLoader")
            kinds = ("jpeg", *CONTAINERS)
            kept = media.picture or "of no known kind"
            _check(
                media.picture in kinds, "frames", self.frames, f"the pictures of this set are {kept}; read are {', '.join(kinds)}"
            )
            enough = self.frames <= media.frames or media.picture == "copy"  # recorded as it came, every clip has its own number
            _check(enough, "frames", self.frames, f"the clips of this set hold {media.frames}")
        for name in self.maps:
            made = "comes from class maps beside the recordings" if name == "labels" else f"is made by shards build --{name}"
            offered = f"it {made}; the maps in every clip of this set: {', '.join(media.extras) or 'none'}"
            _check(name in media.extras, name, True, offered)
        if self.pairs:
            missing = [pair for pair in self.stored_pairs if pair not in media.pairs]
            why = " (turn hears the pair that faces the new front)" if "turn" in self.augment else ""
            _check(not missing, "pairs", self.pairs, f"this set has no {', '.join(missing)}; it has {', '.join(media.pairs)}{why}")
            kept = media.sound or "of no known kind"
            _check(media.sound in ("pcm", "flac"), "pairs", self.pairs, f"the sound of this set is {kept}; read are pcm, flac")
            _check(self.sound_rate == media.rate, "sound_rate", self.sound_rate, f"the sound of this set is at {media.rate} Hz")
            most = media.clip_seconds
            _check(self.sound_seconds <= most, "sound_seconds", self.sound_seconds, f"the clips of this set are {most:g} s long")
            slack = self.slack(media)
            _check(not self.partner or self.reach >= slack, "reach", self.reach, f"windows in one clip lie up to {slack:g} s apart")

    def slack(self, media: Media) -> float:
        """Seconds by which a sound window can move within a clip."""
        return max(0.0, media.clip_seconds - self.sound_seconds)
