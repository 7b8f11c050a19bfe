"""The one interface of all Multi-SSL methods: pretrained encoders and tasks in, one encoder out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from train.objectives import OBJECTIVES
from train.objectives.base import Make, Objective, new_encoder
from train.recipe import Method, Recipe


class Learn(Protocol):
    """Trains an objective to the end in a folder of its own, or finds it trained there."""

    def __call__(self, stage: str, make: Make) -> Objective: ...


@dataclass(frozen=True)
class Combining:
    """What a method works with.

    teachers: a pretrained sound encoder for each of `settings.tasks`, in their order. learn: trains a stage; stages have distinct names.
    """

    recipe: Recipe
    teachers: Mapping[str, nn.Module]
    learn: Learn

    @property
    def settings(self) -> Method:
        return self.recipe.method

    def task(self, name: str, sound: nn.Module) -> Objective:
        """An untrained task on this encoder, which it trains further."""
        return OBJECTIVES[name].from_recipe(self.recipe, sound)

    def new_encoder(self) -> Any:
        """An untrained encoder like those of the teachers."""
        return new_encoder(self.recipe)


Combine = Callable[[Combining], nn.Module]
"""A method."""
