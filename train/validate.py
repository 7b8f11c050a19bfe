"""Loss and accuracy on the validation split, with the weights as they are."""

import torch

from train.data import validation_loader
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
