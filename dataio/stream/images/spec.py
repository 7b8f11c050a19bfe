"""What a user asks of a batch of pictures. Wrong values are errors here, before anything is read."""

from dataclasses import dataclass
from typing import get_args

from dataio.format.manifest import Manifest
from dataio.stream.kernels.rotate import MEAN, STD
from dataio.stream.spec import FrameType, SpecError

Span = tuple[float, float]


@dataclass(frozen=True)
class ViewSpec:
    """The views of a picture. The defaults are MoCo-v2's (Chen, Fan, Girshick and He 2020).

    size: pixels of a view, both ways. views: of each picture, `view0`, `view1`, … in a batch.
    augment: False gives what is evaluated: the short side resized to `short`, the middle cropped, the colours as they are.
    scale: share of the picture's area that a crop covers. ratio: its width over its height, drawn evenly on a logarithmic scale.
    jitter: most by which brightness, contrast and saturation (as factors 1 ± j) and hue (in turns of the circle) change.
    blur: standard deviation in pixels of the view.
    jitter_p, grey_p, blur_p, flip_p: how probable each is.
    mean, std: of the channels, in [0, 1]; a view is (level / 255 − mean) / std.
    dtype: None: float32 on the CPU, which computes nothing else, and float16 on a GPU.

    Raises:
        SpecError: a value out of range; the message names the field and what is allowed.
    """

    size: int = 224
    views: int = 2
    augment: bool = True
    short: int = 256
    scale: Span = (0.2, 1.0)
    ratio: Span = (3 / 4, 4 / 3)
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_p: float = 0.8
    grey_p: float = 0.2
    blur: Span = (0.1, 2.0)
    blur_p: float = 0.5
    flip_p: float = 0.5
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    dtype: FrameType | None = None

    def __post_init__(self) -> None:
        for field in ("scale", "ratio", "jitter", "blur", "mean", "std"):  # lists from recipes are as good as tuples
            object.__setattr__(self, field, tuple(getattr(self, field)))
        self._check("size", 1 <= self.size <= MOST_SIZE, f"must be from 1 to {MOST_SIZE}")
        self._check("views", 1 <= self.views <= MOST_VIEWS, f"must be from 1 to {MOST_VIEWS}")
        self._check("views", self.augment or self.views == 1, "without augmentation all views are the same: ask for one")
        self._check(
            "short", self.augment or self.short >= self.size, f"must be at least size={self.size}, which is cropped from it"
        )
        self._check("scale", _span(self.scale) and self.scale[0] > 0 and self.scale[1] <= 1, "must be 0 < low ≤ high ≤ 1")
        self._check("ratio", _span(self.ratio) and self.ratio[0] > 0 and self.ratio[1] < 1e3, "must be 0 < low ≤ high")
        most = (1.0, 1.0, 1.0, 0.5)
        fits = len(self.jitter) == 4 and all(0 <= j <= m for j, m in zip(self.jitter, most, strict=True))
        self._check("jitter", fits, "must be brightness, contrast and saturation from 0 to 1 and hue from 0 to 0.5")
        reach = f"must be 0 < low ≤ high ≤ {MOST_BLUR:g}"
        self._check("blur", _span(self.blur) and self.blur[0] > 0 and self.blur[1] <= MOST_BLUR, reach)
        for field in ("jitter_p", "grey_p", "blur_p", "flip_p"):
            self._check(field, 0 <= getattr(self, field) <= 1, "must be from 0 to 1")
        blurred = self.augment and self.blur_p > 0
        least = int(4 * self.blur[1]) + 2
        self._check(
            "size", not blurred or self.size >= least, f"views blurred by up to {self.blur[1]:g} need at least {least} pixels"
        )
        self._check("mean", len(self.mean) == 3, "must be three numbers")
        self._check("std", len(self.std) == 3 and min(self.std) > 0, "must be three positive numbers")
        self._check("dtype", self.dtype in (None, *get_args(FrameType)), f"must be one of {', '.join(get_args(FrameType))}")

    def _check(self, field: str, ok: bool, allowed: str) -> None:
        if not ok:
            raise SpecError(f"{field}={getattr(self, field)!r}: {allowed}")

    @property
    def names(self) -> tuple[str, ...]:
        """Fields of a batch that hold views: `view0`, `view1`, …"""
        return tuple(f"view{i}" for i in range(self.views))

    def check(self, manifest: Manifest) -> None:
        """That this is a set of pictures.

        Raises:
            SpecError: it is not.
        """
        kept = manifest.media.picture or "of no known kind"
        if kept != "still":
            raise SpecError(
                f"views={self.views!r}: this is no set of single pictures (its frames are {kept}): read it with ClipLoader"
            )


MOST_SIZE, MOST_VIEWS, MOST_BLUR = 4096, 16, 64.0


def evaluation(size: int = 224, short: int = 256, **fields: object) -> ViewSpec:
    """One view of each picture as it is evaluated: the short side resized to `short`, `size` cropped from the middle."""
    return ViewSpec(size=size, short=short, views=1, augment=False, **fields)  # type: ignore[arg-type]


def _span(span: Span) -> bool:
    return len(span) == 2 and span[0] <= span[1]
