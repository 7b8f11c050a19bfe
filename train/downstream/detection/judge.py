"""COCO's measure on held-out pictures: average precision of boxes and of masks."""

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from train.downstream.detection.annotations import Annotations
from train.downstream.detection.data import Picture, read_pixels
from train.downstream.detection.masks import encode_mask
from train.world import World

FIGURES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
"""COCO's first six: over IoU 0.50 … 0.95, at 0.50, at 0.75; of objects below 32² pixels, of those to 96², of larger ones."""

Found = dict[str, Any]
"""A detection as COCO's results have it: image_id, category_id, score, bbox (x, y, width, height), segmentation (run lengths)."""


@torch.no_grad()
def detections(
    model: nn.Module,
    folder: Path,
    pictures: Sequence[Picture],
    categories: Sequence[int],
    world: World,
    stop: Callable[[], bool] = lambda: False,
) -> list[Found] | None:
    """What the detector finds on all pictures, of which each process looks at its share; the first process gets everything.

    One picture at a time, in float32, so that what is found on it depends neither on the others nor on the number of processes.
    The others get an empty list; all get None where `stop` asked one of them to end before it was done.

    Raises:
        FileNotFoundError, ValueError: a picture; see `read_pixels`.
    """
    model.eval()
    mine: list[Found] = []
    console = Console(stderr=True, quiet=not world.first)
    for picture in track(pictures[world.rank :: world.size], "judging", console=console, disable=not world.first):
        if stop():
            break
        pixels = read_pixels(folder, picture).to(world.device).float() / 255
        mine += as_results(picture.id, model([pixels])[0], categories)
    model.train()
    if world.any(stop()):
        return None
    if world.size > 1:
        parts: list[Any] | None = [None] * world.size if world.first else None
        dist.gather_object(mine, parts)
        mine = [found for part in parts or [] for found in part]
    return sorted(mine, key=lambda found: (found["image_id"], -found["score"]))  # stable: ties stay as the detector has them


def as_results(picture: int, output: dict[str, Tensor], categories: Sequence[int]) -> list[Found]:
    """The detector's output for one picture as COCO's results.

    Args:
        output: boxes (N, 4), x1 y1 x2 y2 in pixels; labels (N,), from 1; scores (N,); masks (N, 1, H, W), inside from 0.5.
        categories: ids in ascending order; label k is the k-th of them.
    """
    boxes, scores, labels = (output[name].cpu().tolist() for name in ("boxes", "scores", "labels"))
    masks = (output["masks"][:, 0] >= 0.5).cpu().numpy()
    return [
        {
            "image_id": picture,
            "category_id": categories[label - 1],
            "score": score,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "segmentation": encode_mask(mask),
        }
        for (x1, y1, x2, y2), score, label, mask in zip(boxes, scores, labels, masks, strict=True)
    ]


def average_precision(annotations: Annotations, found: Sequence[Found]) -> dict[str, float | None]:
    """COCO's average precision, of boxes as `box_ap …` and of masks as `mask_ap …`; None where there is no such object.

    Crowds count neither for nor against (COCOeval). A mask's size is that of the mask, not of its box.

    Raises:
        ValueError: there is no object to be found.
    """
    check_objects(annotations)
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    figures: dict[str, float | None] = {}
    with redirect_stdout(io.StringIO()):  # it prints on its own
        truth = COCO()
        truth.dataset = annotations.dataset
        truth.createIndex()
        for name, kind, left_out in (("box", "bbox", "segmentation"), ("mask", "segm", "bbox")):
            # loadRes takes the size of a detection from its box where it has one
            theirs = [{key: value for key, value in one.items() if key != left_out} for one in found]
            evaluation = COCOeval(truth, truth.loadRes(theirs) if theirs else _nothing(truth), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            numbers = [float(number) for number in evaluation.stats[: len(FIGURES)]]
            figures |= {f"{name}_{figure}": None if number < 0 else number for figure, number in zip(FIGURES, numbers, strict=True)}
    return figures


def check_objects(annotations: Annotations) -> None:
    """That there is something to be found.

    Raises:
        ValueError: there is not, so that no precision can be measured.
    """
    if all(thing["iscrowd"] for thing in annotations.dataset["annotations"]):
        raise ValueError(f"{annotations.path} holds no object to be found (crowds do not count): there is no precision to measure")


def _nothing(truth: Any) -> Any:
    """Results without a detection, which `loadRes` does not take."""
    from pycocotools.coco import COCO

    results = COCO()
    results.dataset = {**truth.dataset, "annotations": []}
    results.createIndex()
    return results
