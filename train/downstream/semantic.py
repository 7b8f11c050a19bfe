"""Semantic prediction (SP): what sounds where? A map of classes over the sphere, from sound alone."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.semantic import SemanticDecoder
from train.downstream.base import Downstream, totals
from train.objectives.base import Batch, Metrics
from train.recipe import Recipe

RARE = 7.0
"""What the authors' code multiplies the weights of sounding classes by."""


class SemanticPrediction(Downstream):
    """Cross entropy over the class map of the middle frame; classes weigh w_c = 2 − share_c of the batch (1 where absent), and all but
    the background `RARE` times that, as in the authors' code.
    """

    FIELDS = ("sound", "labels")
    MERIT = "miou_foreground"

    def __init__(self, recipe: Recipe, sound: nn.Module) -> None:
        super().__init__(recipe, sound)
        settings = recipe.downstream
        self.classes, self.size = settings.classes, settings.map_size
        self.decoder = SemanticDecoder(self.pooled, settings.classes, size=settings.map_size, width=settings.width)

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and `miou_foreground` of the batch."""
        logits = self.decoder(self.pooled_features(batch["sound"])).float()
        labels = self.target(batch["labels"])
        share = torch.bincount(labels.flatten(), minlength=self.classes) / labels.numel()
        weights = torch.where(share > 0, 2 - share, 1.0)
        weights[1:] *= RARE
        loss = F.cross_entropy(logits, labels, weight=weights)
        matrix = confusion(labels, logits.argmax(1), self.classes)
        return loss, {"miou_foreground": foreground_miou(matrix)}

    def target(self, labels: Tensor) -> Tensor:
        """Class maps (B, 1, H, W) to int64 (B, height, width) of the predicted size, nearest.

        Raises:
            ValueError: a class that the recipe does not count.
        """
        smaller = F.interpolate(labels.float(), self.size, mode="nearest-exact")[:, 0].long()
        if int(smaller.max()) >= self.classes:
            raise ValueError(f"the class maps hold class {int(smaller.max())}; downstream.classes={self.classes} counts from 0")
        return smaller

    def note(self, batch: Batch) -> dict[str, Any]:
        labels = self.target(batch["labels"])
        predicted = self.decoder(self.pooled_features(batch["sound"])).argmax(1)
        return {"confusion": confusion(labels, predicted, self.classes).cpu(), "labels": labels.cpu(), "predicted": predicted.cpu()}

    def figures(self, notes: list[dict[str, Any]]) -> dict[str, float]:
        """`miou_foreground`: as the authors count, over pixels whose true class is not the background, so that what is predicted where
        nothing is costs nothing. `miou`: over all pixels and classes, the background included.
        """
        matrix = totals(notes, "confusion")
        return {"miou_foreground": float(foreground_miou(matrix)), "miou": float(iou(matrix).nanmean())}


def confusion(truth: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Pixels by [true class, predicted class]: (classes, classes) int64."""
    return torch.bincount((truth * classes + predicted).flatten(), minlength=classes**2).reshape(classes, classes)


def iou(matrix: Tensor) -> Tensor:
    """Intersection over union of every class: diagonal / (row + column − diagonal); NaN where a class is neither there nor predicted."""
    matrix = matrix.double()
    hit = matrix.diagonal()
    return hit / (matrix.sum(1) + matrix.sum(0) - hit)


def foreground_miou(matrix: Tensor) -> Tensor:
    """Mean over the classes but the background, counting pixels only whose true class is one of them."""
    matrix = matrix.clone()
    matrix[0] = 0
    return iou(matrix)[1:].nanmean()
