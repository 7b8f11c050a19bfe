"""The one interface of all Multi-SSL methods: pretrained encoders and tasks in, one encoder out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from models.encoder import Encoder
from train.modality import Modality, modality
from train.objectives import OBJECTIVES
from train.objectives.base import Make, Objective
from train.recipe import Method, Recipe


class Learn(Protocol):
    """Trains an objective to the end in a folder of its own, or finds it trained there."""

    def __call__(self, stage: str, make: Make) -> Objective: ...


@dataclass(frozen=True)
class Combining:
    """What a method works with.

    teachers: pretrained encoders by task, of those tasks that `train.methods.taught` names, in their order.
    learn: trains a stage; stages have distinct names.

    Raises:
        ValueError: a teacher cannot be fed with what the recipe has.
    """

    recipe: Recipe
    teachers: Mapping[str, Encoder]
    learn: Learn

    def __post_init__(self) -> None:
        for name, teacher in self.teachers.items():
            if wrong := self.modality.fits(teacher.description, self.recipe):
                raise ValueError(f"the teacher of {name!r} {wrong}")

    @property
    def settings(self) -> Method:
        return self.recipe.method

    @property
    def modality(self) -> Modality:
        return modality(self.settings.tasks)

    def task(self, name: str, encoder: Encoder) -> Objective:
        """An untrained task on this encoder, which it trains further."""
        return OBJECTIVES[name].from_recipe(self.recipe, encoder)

    def new_encoder(self) -> Encoder:
        """An untrained encoder like those of the teachers."""
        return self.modality.untrained(self.recipe)

    def map_size(self, encoder: Encoder) -> tuple[int, int]:
        """Height and width of its feature map of what the recipe feeds it with."""
        return encoder.out_size(*self.modality.size(self.recipe))


Combine = Callable[[Combining], Encoder]
"""A method."""
