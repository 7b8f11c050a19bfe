"""A few held-out pictures with what was found on them."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.downstream.detection.data import Picture, read_pixels
from train.downstream.detection.judge import Found
from train.downstream.detection.masks import mask_pixels
from train.downstream.pictures.style import INK, WIDTH, bare, save

SHOWN, COLUMNS, SURE = 6, 3, 0.5
"""Pictures, how many in a row, and the score from which a detection is drawn."""

PLATE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
"""Behind a label, which must be read on any picture."""

COLOURS = ("#e4572e", "#2e86ab", "#f2b134", "#6a4c93", "#2e9e4f", "#d1495b", "#00798c", "#8f5902")


def draw(
    folder: Path, pictures: Sequence[Picture], found: Sequence[Found], names: dict[int, str], figures: dict[str, Any], path: Path
) -> None:
    """Write the picture, a PNG: boxes and masks with a score of `SURE` or more, coloured by category.

    Args:
        names: of the categories by id. figures: `box_ap` and `mask_ap`.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    shown = sorted(pictures, key=lambda picture: (zlib.crc32(str(picture.id).encode()), picture.id))[:SHOWN]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(WIDTH, 1.0 + 3.4 * rows), layout="constrained", facecolor="white")
    boxes, masks = (100 * figures[name] for name in ("box_ap", "mask_ap"))
    figure.suptitle(
        f"COCO: AP of boxes {boxes:.1f}, of masks {masks:.1f}; what scores {SURE} or more is drawn\n"
        "Pictures chosen by the checksum of their id, not by how well they went.",
        color=INK,
        fontsize=13,
        x=0.01,
        ha="left",
    )
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    order = {category: place for place, category in enumerate(names)}
    for axis in axes:
        bare(axis)
    for axis, picture in zip(axes, shown, strict=False):
        pixels = read_pixels(folder, picture).permute(1, 2, 0).numpy()
        sure = [one for one in found if one["image_id"] == picture.id and one["score"] >= SURE]
        paint = pixels.astype(np.float32)
        for one in reversed(sure):
            colour = COLOURS[order[one["category_id"]] % len(COLOURS)]
            inside = mask_pixels(one["segmentation"], picture.height, picture.width).astype(bool)
            paint[inside] = 0.5 * paint[inside] + 0.5 * np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
            x, y, width, height = one["bbox"]
            axis.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=colour, linewidth=1.5))
            label = f"{names[one['category_id']]} {one['score']:.2f}".replace("$", r"\$")  # a name is text, not a formula
            axis.text(x, y, label, color=INK, fontsize=8, va="bottom", clip_on=True, bbox=PLATE)
        axis.imshow(paint.round().astype(np.uint8), interpolation="nearest")
        axis.set_title(f"picture {picture.id}", color=INK, fontsize=10, loc="left")
    save(figure, path)
