"""What is asked of a run while it learns: loss and metrics on the validation split, and whose features lie near each other."""

import torch
from torch import Tensor

from train.data import once_loader, validation_loader
from train.fields import spec_of
from train.modality import PICTURE
from train.neighbours import knn_accuracy, leave_one_out_accuracy
from train.objectives.base import Objective
from train.recipe import Recipe
from train.world import World


@torch.no_grad()
def validate(objective: Objective, recipe: Recipe, world: World) -> dict[str, float]:
    """Mean loss and metrics of the objective over the validation split.

    The loader starts from its first epoch each time, so two validations differ by the weights alone, and none of its state
    needs to be in a checkpoint.
    """
    sums: dict[str, torch.Tensor] = {}
    clips = 0
    objective.eval()
    with validation_loader(recipe, world, objective.FIELDS) as loader:
        for batch in loader:
            loss, metrics = objective(batch)
            clips += (count := len(batch["clip"]))
            for name, value in {"loss": loss, **metrics}.items():
                sums[name] = sums.get(name, torch.zeros((), device=world.device)) + value * count
    objective.train()
    return {name: float(world.mean(total / clips)) for name, total in sums.items()}


@torch.no_grad()
def neighbours(objective: Objective, recipe: Recipe, world: World) -> dict[str, float]:
    """How often its nearest neighbours tell what a held-out clip is (see `train.recipe.Neighbours`): `knn`; if not asked, nothing.

    The features are the encoder's, pooled, without augmentation; the same clips every time.
    """
    settings = recipe.neighbours
    if not settings.k:
        return {}
    objective.eval()
    asked, truth = _features(objective, recipe, world, "val")
    if objective.MODALITY is PICTURE:
        bank, names = _features(objective, recipe, world, "train", most=settings.bank)
        found = knn_accuracy(bank, names, asked, truth, k=settings.k, temperature=settings.temperature)
    else:
        found = leave_one_out_accuracy(asked, truth, k=settings.k, temperature=settings.temperature)
    objective.train()
    return {"knn": found}


def _features(objective: Objective, recipe: Recipe, world: World, split: str, *, most: int | None = None) -> tuple[Tensor, Tensor]:
    """Pooled features (N, D) of a split, or of about `most` of its clips, and classes or recordings (N,), from all processes."""
    modality = objective.MODALITY
    label = "label" if modality is PICTURE else "recording"
    features, labels, count = [], [], 0
    spec = spec_of(recipe, (modality.field,), augment=False)
    with once_loader(recipe, world, spec, split=split) as loader:
        for batch in loader:
            if most is not None and count * world.size >= most:
                break
            features.append(modality.pool(objective.encoder(batch[modality.field].float())).float())
            labels.append(batch[label])
            count += len(batch[label])
    return world.rows(torch.cat(features)), world.rows(torch.cat(labels))
