"""COCO's annotation files: read whole, and checked before anything is built on them.

The format is that of cocodataset.org, "Data format": pictures, objects and categories, each with an id, in three lists.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from train.downstream.detection.masks import fault

MOST_PIXELS = 1 << 27
"""Of a picture: masks of this size are made on the word of the annotations, and pycocotools writes run lengths of up to 30 bits."""


@dataclass(frozen=True)
class Annotations:
    """A checked annotation file. `dataset` is its content; `checksum` the CRC-32 of its bytes."""

    path: Path
    checksum: int
    dataset: dict[str, Any]

    @property
    def categories(self) -> dict[int, str]:
        """Names by id, by ascending id: label k of the network is the k-th of them, and label 0 the background."""
        return {category["id"]: category["name"] for category in sorted(self.dataset["categories"], key=lambda c: c["id"])}


def read_annotations(path: Path) -> Annotations:
    """Read `instances_….json`. What is left out of an object's crowd flag is 0.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no COCO file of objects with masks; the message names the first thing that is wrong.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: it should be an annotation file in COCO's format")
    content = path.read_bytes()
    try:
        dataset = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({type(error).__name__})") from None
    parts = ("images", "annotations", "categories")
    if not isinstance(dataset, dict) or any(not isinstance(dataset.get(part), list) for part in parts):
        raise ValueError(f"{path} is no annotation file in COCO's format: it should hold the lists {', '.join(parts)}")
    checks = (_check_categories, _check_pictures, _check_objects)
    for check in checks:
        if wrong := check(dataset):
            raise ValueError(f"{path}: {wrong}")
    return Annotations(path, zlib.crc32(content), dataset)


def _check_categories(dataset: dict[str, Any]) -> str | None:
    found: set[int] = set()
    for category in dataset["categories"]:
        if not isinstance(category, dict) or type(category.get("id")) is not int or not isinstance(category.get("name"), str):
            return "a category should have an id (a whole number) and a name"
        if category["id"] in found:
            return f"category {category['id']} comes twice"
        found.add(category["id"])
    return None if found else "there is no category"


def _check_pictures(dataset: dict[str, Any]) -> str | None:
    found: set[int] = set()
    for picture in dataset["images"]:
        if not isinstance(picture, dict) or type(picture.get("id")) is not int:
            return "a picture should have an id (a whole number)"
        number, name = picture["id"], picture.get("file_name")
        if number in found:
            return f"picture {number} comes twice"
        found.add(number)
        if not isinstance(name, str) or not _inside(name):
            return f"picture {number}: file_name={name!r} should be the name of a file below the folder of the pictures"
        height, width = picture.get("height"), picture.get("width")
        if not (type(height) is int and type(width) is int and min(height, width) > 0 and height * width <= MOST_PIXELS):
            return (
                f"picture {number}: height={height!r} and width={width!r} should be whole numbers of at most {MOST_PIXELS} pixels"
            )
    return None if found else "there is no picture"


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name and "\\" not in name


def _check_objects(dataset: dict[str, Any]) -> str | None:
    sizes = {picture["id"]: (picture["height"], picture["width"]) for picture in dataset["images"]}
    categories = {category["id"] for category in dataset["categories"]}
    found: set[int] = set()
    for thing in dataset["annotations"]:
        if not isinstance(thing, dict) or type(thing.get("id")) is not int or thing["id"] < 1:
            return "an annotation should have an id (a whole number from 1: COCO's evaluation takes 0 for `none`)"
        number = thing["id"]
        if number in found:
            return f"annotation {number} comes twice"
        found.add(number)
        picture, category = thing.get("image_id"), thing.get("category_id")
        if type(picture) is not int or picture not in sizes:
            return f"annotation {number}: there is no picture {picture!r}"
        if type(category) is not int or category not in categories:
            return f"annotation {number}: there is no category {category!r}"
        if thing.setdefault("iscrowd", 0) not in (0, 1):
            return f"annotation {number}: iscrowd={thing['iscrowd']!r} should be 0 or 1"
        box, area = thing.get("bbox"), thing.get("area")
        if not isinstance(box, list) or len(box) != 4 or not all(map(_number, box)) or min(box[2:]) < 0:
            return f"annotation {number}: bbox={box!r} should be x, y, width, height in pixels"
        if not _number(area) or area < 0:  # type: ignore[operator]
            return f"annotation {number}: area={area!r} should be a number of pixels"
        if wrong := fault(thing.get("segmentation"), *sizes[picture]):
            return f"annotation {number} has no usable mask: {wrong}"
    return None


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e9  # false of NaN and infinity too
