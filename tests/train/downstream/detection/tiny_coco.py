"""A tiny data set in COCO's format: discs, squares and triangles on grey, with a crowd and with a picture that shows nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco

CATEGORIES = {20: "triangle", 3: "disc", 7: "square"}
"""Ids with holes, and not in order: COCO's own have holes too."""

HEIGHT, WIDTH = 72, 96
COLOURS = {3: (220, 60, 40), 7: (50, 160, 60), 20: (60, 80, 220)}


def write_tiny_coco(folder: Path, *, train: int = 5, val: int = 4, seed: int = 0) -> Path:
    """images/, instances_train.json and instances_val.json in `folder`, which it returns.

    Of each split the pictures 1 … n have two objects (polygons); the last of them has a crowd (run lengths) too; picture 100 has
    none. One object of the first training picture has its mask as run lengths in text, one as two polygons.
    """
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for split, pictures, first in (("train", train, 1), ("val", val, 1001)):
        dataset: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
        dataset["categories"] = [{"id": number, "name": name, "supercategory": "shape"} for number, name in CATEGORIES.items()]
        for number in [*range(first, first + pictures), first + 99]:
            image = Image.fromarray(rng.integers(90, 140, (HEIGHT, WIDTH, 3), np.uint8))
            name = f"{split}-{number:06d}.png"
            dataset["images"].append({"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH})
            if number < first + 99:
                for side in (0, 1):
                    _add(dataset, image, number, side, rng)
                if number == first + pictures - 1:
                    _add_crowd(dataset, number)
            image.save(folder / "images" / name)
        if split == "train":
            _encode_otherwise(dataset["annotations"])
        (folder / f"instances_{split}.json").write_text(json.dumps(dataset))
    return folder


def settings_of(folder: Path, run: Path, **more: Any) -> dict[str, Any]:
    """Settings of a training of three steps on it."""
    data = {
        "train": str(folder / "instances_train.json"), "train_pictures": str(folder / "images"),
        "val": str(folder / "instances_val.json"), "val_pictures": str(folder / "images"),
        "batch_size": 2, "threads": 2, "min_size": [64], "max_size": 96,
    }  # fmt: skip
    optim = {"lr": 0.02, "warmup_steps": 2, "milestones": [100], "steps": 3}
    return {
        "data": data | more.pop("data", {}),
        "optim": optim | more.pop("optim", {}),
        "backbone": "resnet18",
        "heads": {"channels": 8, "convolutions": 1, "hidden": 16, "proposals": 20, "samples": 16},
        "run": str(run),
        "device": "cpu",
        "compute_threads": 1,
        "log_every": 1,
        **more,
    }


def _add(dataset: dict[str, Any], image: Image.Image, picture: int, side: int, rng: np.random.Generator) -> None:
    """An object in the left or the right half."""
    category = int(rng.choice(list(CATEGORIES)))
    radius = float(rng.uniform(10, 18))
    x, y = WIDTH * (0.27 + 0.46 * side), float(rng.uniform(22, HEIGHT - 22))
    corners = {3: 24, 7: 4, 20: 3}[category]
    angles = np.pi / 4 + np.arange(corners) * 2 * np.pi / corners
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1).round(2)
    ImageDraw.Draw(image).polygon([tuple(point) for point in points.tolist()], fill=COLOURS[category])
    polygon = points.ravel().tolist()
    low, high = points.min(0), points.max(0)
    area = int(coco.area(coco.frPyObjects([polygon], HEIGHT, WIDTH))[0])
    dataset["annotations"].append({
        "id": len(dataset["annotations"]) + 1, "image_id": picture, "category_id": category, "iscrowd": 0, "area": area,
        "bbox": [*low.tolist(), *(high - low).tolist()], "segmentation": [polygon],
    })  # fmt: skip


def _add_crowd(dataset: dict[str, Any], picture: int) -> None:
    """A crowd of discs over the lower quarter, as plain run lengths: each column has 54 pixels outside and 18 inside."""
    dataset["annotations"].append({
        "id": len(dataset["annotations"]) + 1, "image_id": picture, "category_id": 3, "iscrowd": 1, "area": 18 * WIDTH,
        "bbox": [0, 54, WIDTH, 18], "segmentation": {"size": [HEIGHT, WIDTH], "counts": [54, 18] * WIDTH},
    })  # fmt: skip


def _encode_otherwise(annotations: list[dict[str, Any]]) -> None:
    polygon = annotations[0]["segmentation"]
    runs = coco.merge(coco.frPyObjects(polygon, HEIGHT, WIDTH))
    annotations[0]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": runs["counts"].decode()}
    annotations[1]["segmentation"] = [*annotations[1]["segmentation"], [60.0, 2.0, 66.0, 2.0, 66.0, 6.0]]
