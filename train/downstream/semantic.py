"""Semantic prediction (SP): what sounds where? A map of classes over the sphere, from sound alone."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from models.encoder import Encoder
from models.semantic import SemanticDecoder
from train.downstream.base import Downstream, Rows
from train.downstream.pictures.pixels import thumbnails
from train.objectives.base import Batch, Metrics
from train.recipe import Recipe

RARE = 7.0
"""What the authors' code multiplies the weights of sounding classes by."""

IGNORE = 255
"""Pixels of this class count nowhere: nobody knows what they show (Cityscapes, YT-360)."""


class SemanticPrediction(Downstream):
    """Cross entropy over the class map of the middle frame; classes weigh w_c = 2 − share_c of the batch (1 where absent), and all
    but the background `RARE` times that, as in the authors' code.
    """

    FIELDS = ("sound", "labels")
    MERIT = "miou_foreground"
    SHOWN = ("labels", "predicted", "pictures")
    BESIDE = ("frames",)

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__(recipe, encoder)
        settings = recipe.downstream
        self.classes, self.size = settings.classes, settings.map_size
        self.decoder = SemanticDecoder(self.pooled, settings.classes, size=settings.map_size, width=settings.width)

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and `miou_foreground` of the batch (0 where it has none)."""
        logits = self.decoder(self.pooled_features(batch["sound"])).float()
        labels = self.target(batch["labels"])
        loss = weighted_cross_entropy(logits, labels, self.classes)
        matrix = confusion(labels, logits.argmax(1), self.classes)
        return loss, {"miou_foreground": foreground_miou(matrix).nan_to_num(0.0)}  # one NaN would spoil a whole mean in the log

    def target(self, labels: Tensor) -> Tensor:
        """Class maps (B, 1, H, W) to int64 (B, height, width) of the predicted size, nearest.

        Raises:
            ValueError: a class that the recipe does not count.
        """
        smaller = F.interpolate(labels.float(), self.size, mode="nearest-exact")[:, 0].long()
        largest = int(torch.where(smaller == IGNORE, 0, smaller).max())
        if largest >= self.classes:
            raise ValueError(
                f"the class maps hold class {largest}; downstream.classes={self.classes} counts from 0, and {IGNORE} is left out"
            )
        return smaller

    def note(self, batch: Batch) -> Rows:
        labels = self.target(batch["labels"])
        predicted = self.decoder(self.pooled_features(batch["sound"])).argmax(1)
        each = [confusion(*maps, self.classes) for maps in zip(labels, predicted, strict=True)]
        note = {"confusion": torch.stack(each), "labels": labels.byte(), "predicted": predicted.byte()}
        return note | ({"pictures": thumbnails(batch["frames"])} if "frames" in batch else {})

    def figures(self, rows: Rows) -> dict[str, float]:
        """`miou_foreground`: over pixels whose true class is not the background, so that what is predicted where nothing is costs
        nothing, as the authors count, and averaged over the classes but the background. (Their code averages over every class that
        is there or predicted; the background, which is never right there, then counts as a class of IoU 0.) `miou`: over all pixels
        and classes, the background included.
        """
        matrix = rows["confusion"].sum(0)
        if not int(matrix[1:].sum()):
            raise ValueError("the class maps of the held-out clips hold no class but the background: there is nothing to predict")
        return {"miou_foreground": float(foreground_miou(matrix)), "miou": float(iou(matrix).nanmean())}

    def draw(self, rows: Rows, shown: Rows, path: Path) -> None:
        from train.downstream.pictures.semantic import class_maps

        class_maps(shown, self.figures(rows), self.classes, path)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean of −w_y · log softmax(logits)_y over pixels by weight w_y, but for those of class `IGNORE`; 0 if no others are there.

    Args:
        logits: (B, classes, H, W). labels: (B, H, W) int64.
    """
    known = labels[labels != IGNORE]
    share = torch.bincount(known, minlength=classes) / max(1, len(known))
    weights = torch.where(share > 0, 2 - share, 1.0)
    weights[1:] *= RARE
    total = F.cross_entropy(logits, labels, weight=weights, ignore_index=IGNORE, reduction="sum")
    return total / weights[known].sum().clamp_min(1)  # no weight is below 1


def confusion(truth: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Pixels by [true class, predicted class], without those of class `IGNORE`: (classes, classes) int64."""
    known = truth != IGNORE
    return torch.bincount(truth[known] * classes + predicted[known], minlength=classes**2).reshape(classes, classes)


def iou(matrix: Tensor) -> Tensor:
    """Intersection over union by class: diagonal / (row + column − diagonal); NaN where one is neither there nor predicted."""
    matrix = matrix.double()
    hit = matrix.diagonal()
    return hit / (matrix.sum(1) + matrix.sum(0) - hit)


def foreground_miou(matrix: Tensor) -> Tensor:
    """Mean over the classes but the background, counting pixels only whose true class is one of them."""
    matrix = matrix.clone()
    matrix[0] = 0
    return iou(matrix)[1:].nanmean()
