"""Pictures and their objects as the network takes them: tensors, and labels from 1 in the order of the category ids."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from train.downstream.detection.annotations import Annotations, read_annotations
from train.downstream.detection.masks import mask_pixels
from train.downstream.detection.order import Place

Target = dict[str, Tensor]
"""boxes (N, 4) float32, x1 y1 x2 y2 in pixels; labels (N,) int64, from 1; masks (N, H, W) uint8."""


@dataclass(frozen=True)
class Thing:
    """An object to learn: its box x1, y1, x2, y2 in pixels, its label, and its mask in one of COCO's encodings."""

    box: tuple[float, float, float, float]
    label: int
    mask: Any


@dataclass(frozen=True)
class Picture:
    """A picture of the set: its id, its file below the folder, its size in pixels, and what is to be learned on it."""

    id: int
    file: str
    height: int
    width: int
    things: tuple[Thing, ...]


def pictures_of(annotations: Annotations, *, learnt: bool) -> tuple[Picture, ...]:
    """The pictures of a file, by ascending id.

    Args:
        learnt: for training: without crowds and without objects less than a pixel wide or high, whose boxes cannot be learned, and
            without the pictures on which nothing is left. Otherwise all pictures, with no objects: COCO's evaluation has its own.

    Raises:
        ValueError: nothing is left.
    """
    labels = {category: label for label, category in enumerate(annotations.categories, 1)}
    things: dict[int, list[Thing]] = defaultdict(list)
    sizes = {picture["id"]: (picture["width"], picture["height"]) for picture in annotations.dataset["images"]}
    for thing in annotations.dataset["annotations"] if learnt else ():
        box = _corners(thing["bbox"], *sizes[thing["image_id"]])
        if not thing["iscrowd"] and min(box[2] - box[0], box[3] - box[1]) >= 1:
            things[thing["image_id"]].append(Thing(box, labels[thing["category_id"]], _packed(thing["segmentation"])))
    found = tuple(
        Picture(p["id"], p["file_name"], p["height"], p["width"], tuple(things[p["id"]]))
        for p in sorted(annotations.dataset["images"], key=lambda p: p["id"])
        if things[p["id"]] or not learnt
    )
    if not found:
        raise ValueError(f"{annotations.path} holds no picture with an object to learn (crowds are left out)")
    return found


@dataclass(frozen=True)
class TrainingSet:
    """What a detector learns from: pictures with their objects, names of the categories by id, checksum of the annotation file."""

    pictures: tuple[Picture, ...]
    categories: dict[int, str]
    checksum: int


def read_training_set(path: Path) -> TrainingSet:
    """Read an annotation file, of which nothing else stays in memory: COCO's takes gigabytes as Python's objects.

    Raises:
        FileNotFoundError, ValueError: as `read_annotations` and `pictures_of`.
    """
    annotations = read_annotations(path)
    return TrainingSet(pictures_of(annotations, learnt=True), annotations.categories, annotations.checksum)


def check_files(folder: Path, pictures: Sequence[Picture]) -> None:
    """That the files of all pictures are there, by the listings of their folders: a look at each would take minutes over a network.

    Raises:
        FileNotFoundError: some are not; the message names the first.
    """
    listed: dict[Path, set[str]] = {}
    for path in (folder / picture.file for picture in pictures):
        if path.parent not in listed:
            listed[path.parent] = {file.name for file in path.parent.iterdir()} if path.parent.is_dir() else set()
        if path.name not in listed[path.parent]:
            raise FileNotFoundError(f"{path} is not there, but the annotations name it")


def read_pixels(folder: Path, picture: Picture) -> Tensor:
    """The picture as it is stored, no matter what its EXIF says (the annotations mean that): (3, H, W) uint8.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it does not decode, or has another size than the annotations say.
    """
    path = folder / picture.file
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            if image.size != (picture.width, picture.height):
                raise ValueError(
                    f"{path} has {image.height} × {image.width} pixels; the annotations say {picture.height} × {picture.width}"
                )
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is not there, but the annotations name it") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's words for what is broken
        raise ValueError(f"{path} is no readable JPEG or PNG ({' '.join(str(error).split())})") from error


def read_example(folder: Path, picture: Picture, *, mirror: bool) -> tuple[Tensor, Target]:
    """A picture (3, H, W) uint8 and its target, both mirrored or neither. Raises as `read_pixels`."""
    pixels = read_pixels(folder, picture)
    masks = np.stack([mask_pixels(thing.mask, picture.height, picture.width) for thing in picture.things])
    target = {
        "boxes": torch.tensor([thing.box for thing in picture.things], dtype=torch.float32),
        "labels": torch.tensor([thing.label for thing in picture.things]),
        "masks": torch.from_numpy(masks),
    }
    if mirror:
        x1, y1, x2, y2 = target["boxes"].unbind(1)
        target["boxes"] = torch.stack([picture.width - x2, y1, picture.width - x1, y2], 1)
        pixels, target["masks"] = pixels.flip(-1), target["masks"].flip(-1)
    return pixels, target


@dataclass(frozen=True)
class Examples:
    """The training pictures by their place in the order; called by several threads."""

    folder: Path
    pictures: tuple[Picture, ...]

    def __call__(self, at: Place) -> tuple[Tensor, Target]:
        return read_example(self.folder, self.pictures[at.index], mirror=at.mirror)


def _corners(box: list[float], width: int, height: int) -> tuple[float, float, float, float]:
    """x, y, width, height to x1, y1, x2, y2 within the picture."""
    x, y, w, h = box
    return max(0.0, x), max(0.0, y), min(float(width), x + w), min(float(height), y + h)


def _packed(mask: Any) -> Any:
    """Polygons as arrays: 800,000 objects as lists of Python's numbers would take gigabytes."""
    return [np.asarray(polygon, np.float64) for polygon in mask] if isinstance(mask, list) else mask
