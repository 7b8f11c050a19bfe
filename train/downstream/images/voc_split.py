"""Which pictures a split of VOC2007 holds, and which of the 20 classes each of them shows."""

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

PRESENT, DIFFICULT, ABSENT = 1, 0, -1
"""As in the class files of VOC. DIFFICULT: all that the picture shows of the class is marked as hard to recognise."""

_ARCHIVES = {"trainval": "VOCtrainval_06-Nov-2007.tar", "test": "VOCtest_06-Nov-2007.tar"}


@dataclass(frozen=True)
class Split:
    """paths: of N pictures, in the order of the split's list. labels: (N, 20) int8, PRESENT, DIFFICULT or ABSENT."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.paths)


def read_split(root: str | Path, split: str) -> Split:
    """The pictures of `trainval` or `test`, by torchvision's reader, and their labels, by the annotations.

    Args:
        root: the folder that holds VOCdevkit/VOC2007, as both archives unpack it; nothing is downloaded.

    Raises:
        FileNotFoundError: no such folder, or a part of the archives is missing.
        ValueError: a file that does not say what it should.
    """
    from torchvision.datasets import VOCDetection

    home = Path(root) / "VOCdevkit" / "VOC2007"
    if not home.is_dir():
        raise FileNotFoundError(f"{root} holds no VOCdevkit/VOC2007: unpack {' and '.join(_ARCHIVES.values())} there")
    for part in ("JPEGImages", "Annotations", f"ImageSets/Main/{split}.txt"):
        if not (home / part).exists():
            raise FileNotFoundError(f"{home} holds no {part}: {_ARCHIVES[split]} is not unpacked, or not all of it")
    found = VOCDetection(str(root), year="2007", image_set=split, download=False)
    paths, annotations = tuple(map(Path, found.images)), tuple(map(Path, found.annotations))
    if not paths:
        raise ValueError(f"{home / 'ImageSets/Main' / split}.txt names no picture")
    missing = [path for path in (*paths, *annotations) if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{home} lacks {len(missing)} of the {2 * len(paths)} files of {split}, such as {missing[0].relative_to(home)}: "
            f"{_ARCHIVES[split]} is not unpacked, or not all of it"
        )
    return Split(paths, np.stack([_labels(path) for path in annotations]))


def _labels(annotation: Path) -> NDArray[np.int8]:
    """Labels (20,) of one picture: an object that is not difficult makes its class PRESENT, whatever others there are."""
    labels = np.full(len(CLASSES), ABSENT, np.int8)
    try:
        objects = [
            (thing.findtext("name"), thing.findtext("difficult", "0").strip()) for thing in _tree(annotation).findall("object")
        ]
    except (ElementTree.ParseError, UnicodeError, ValueError) as error:
        raise ValueError(f"{annotation} is no readable annotation ({error})") from error
    for name, difficult in objects:
        if name not in CLASSES:
            raise ValueError(f"{annotation} has an object {name!r}, which is no class of VOC2007; allowed: {', '.join(CLASSES)}")
        place = CLASSES.index(name)
        labels[place] = max(labels[place], DIFFICULT if difficult == "1" else PRESENT)
    return labels


def _tree(annotation: Path) -> ElementTree.Element:
    text = annotation.read_bytes()
    if b"<!ENTITY" in text:  # which could grow without bounds
        raise ValueError("it defines entities")
    return ElementTree.fromstring(text)
