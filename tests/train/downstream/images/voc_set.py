"""A tiny VOC2007 in VOC's own layout: each class is a pattern of four colours, which any encoder that sees colour can tell."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from train.downstream.images.voc_split import CLASSES

Objects = Sequence[tuple[str, bool]]
"""Of one picture: class, and whether it is difficult."""


def pattern(name: str, number: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A picture of a class: (height, width, 3) uint8, its four quarters of the class's colours, with noise by the number."""
    height, width = size
    colours = np.random.default_rng(CLASSES.index(name)).integers(30, 226, (2, 2, 3))
    quarters = colours.repeat(height // 2, axis=0).repeat(width // 2, axis=1)
    return (quarters + np.random.default_rng([1, number]).integers(-20, 21, quarters.shape)).clip(0, 255).astype(np.uint8)


def annotation(name: str, objects: Objects) -> str:
    """The XML of one picture, with what VOC writes that classification does not need."""
    things = "".join(
        f"<object><name>{kind}</name><pose>Left</pose><truncated>0</truncated><difficult>{int(difficult)}</difficult>"
        "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>"
        for kind, difficult in objects
    )
    return f"<annotation><folder>VOC2007</folder><filename>{name}.jpg</filename>{things}</annotation>"


def write_voc(root: Path, *, difficult: dict[str, Objects] | None = None, trainval: int = 80, test: int = 40) -> Path:
    """Write root/VOCdevkit/VOC2007: picture n shows class n mod 20. Returns the root.

    difficult: further difficult objects of the pictures of these names.
    """
    home = root / "VOCdevkit" / "VOC2007"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (home / folder).mkdir(parents=True)
    shown: dict[str, Objects] = {}
    for split, numbers in (("trainval", range(trainval)), ("test", range(trainval, trainval + test))):
        names = [f"{number:06d}" for number in numbers]
        for number, name in zip(numbers, names, strict=True):
            kind = CLASSES[number % len(CLASSES)]
            shown[name] = [(kind, False), (kind, True), *(difficult or {}).get(name, ())]
            Image.fromarray(pattern(kind, number)).save(home / "JPEGImages" / f"{name}.jpg", quality=95)
            (home / "Annotations" / f"{name}.xml").write_text(annotation(name, shown[name]))
        (home / "ImageSets/Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for kind in CLASSES:
            lines = [f"{name} {label_of(kind, shown[name]):2d}\n" for name in names]
            (home / "ImageSets/Main" / f"{kind}_{split}.txt").write_text("".join(lines))
    return root


def label_of(kind: str, objects: Objects) -> int:
    """As the class files of VOC say it: 1 shown, 0 only difficult ones, −1 not shown."""
    marks = [difficult for name, difficult in objects if name == kind]
    return -1 if not marks else 0 if all(marks) else 1
