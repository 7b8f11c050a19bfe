"""What is asked of a run while it learns: loss and metrics on the validation split, and whose features lie near each other."""

import torch
from torch import Tensor

from models.encoder import Encoder
from train.data import once_loader, validation_loader
from train.fields import spec_of
from train.modality import PICTURE, SOUND, Modality
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
    if not recipe.neighbours.k:
        return {}
    of = picture_neighbours if objective.MODALITY is PICTURE else clip_neighbours
    objective.eval()
    found = of(objective.encoder, recipe, world, "val")
    objective.train()
    return {"knn": found}


@torch.no_grad()
def picture_neighbours(encoder: Encoder, recipe: Recipe, world: World, split: str) -> float:
    """Pictures of a split, told by their class among those of the split train."""
    settings = recipe.neighbours
    asked, truth = _features(encoder, PICTURE, recipe, world, split, "label")
    bank, names = _features(encoder, PICTURE, recipe, world, "train", "label", most=settings.bank)
    return knn_accuracy(bank, names, asked, truth, k=settings.k, temperature=settings.temperature)


@torch.no_grad()
def clip_neighbours(encoder: Encoder, recipe: Recipe, world: World, split: str) -> float:
    """Sounds of a split, told by their recording among all others of the split."""
    settings = recipe.neighbours
    features, recording = _features(encoder, SOUND, recipe, world, split, "recording")
    return leave_one_out_accuracy(features, recording, k=settings.k, temperature=settings.temperature)


def _features(
    encoder: Encoder, modality: Modality, recipe: Recipe, world: World, split: str, label: str, *, most: int | None = None
) -> tuple[Tensor, Tensor]:
    """Pooled features (N, D) of a split, or of about `most` of its clips, and their labels (N,), from all processes."""
    features, labels, count = [], [], 0
    spec = spec_of(recipe, (modality.field,), augment=False)
    with once_loader(recipe, world, spec, split=split) as loader:
        for batch in loader:
            if most is not None and count * world.size >= most:
                break
            features.append(modality.pool(encoder(batch[modality.field].float())).float())
            labels.append(batch[label])
            count += len(batch[label])
    return world.rows(torch.cat(features)), world.rows(torch.cat(labels))
