"""Which part of a picture a view shows, and how large it is meant to become before it is cut: the same for every device."""

from dataclasses import dataclass

LONGEST = 8
"""Long side over short side of what is evaluated; of longer pictures only the middle is resized, to save memory."""


@dataclass(frozen=True)
class Middle:
    """box: part of the picture that is resized: top, left, height, width. size: height and width that it gets. top, left: of the
    crop in that.
    """

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    top: int
    left: int


def middle(height: int, width: int, short: int, size: int) -> Middle:
    """The short side becomes `short`, and `size` is cropped from the middle: torchvision's Resize and CenterCrop."""
    h, w = min(height, LONGEST * width), min(width, LONGEST * height)
    box = ((height - h) // 2, (width - w) // 2, h, w)
    to = (short, int(short * w / h)) if h <= w else (int(short * h / w), short)
    return Middle(box, to, round((to[0] - size) / 2), round((to[1] - size) / 2))
