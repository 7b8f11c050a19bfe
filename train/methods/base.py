"""The one interface of all Multi-SSL methods: pretrained encoders and tasks in, one encoder out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from models.encoder import Encoder
from models.sound import SoundEncoder
from train.objectives import OBJECTIVES
from train.objectives.base import Make, Objective, new_encoder
from train.recipe import Method, Recipe


class Learn(Protocol):
    """Trains an objective to the end in a folder of its own, or finds it trained there."""

    def __call__(self, stage: str, make: Make) -> Objective: ...


@dataclass(frozen=True)
class Combining:
    """What a method works with.

    teachers: pretrained sound encoders by task, of those tasks that `train.methods.taught` names, in their order.
    learn: trains a stage; stages have distinct names.

    Raises:
        ValueError: a teacher hears another number of ears than the recipe has.
    """

    recipe: Recipe
    teachers: Mapping[str, Encoder]
    learn: Learn

    def __post_init__(self) -> None:
        pairs = self.recipe.data.pairs
        for name, teacher in self.teachers.items():
            if (ears := _ears(teacher.description)) != 2 * len(pairs):
                raise ValueError(f"the teacher of {name!r} hears {ears} ears, and data.pairs={list(pairs)} are {2 * len(pairs)}")

    @property
    def settings(self) -> Method:
        return self.recipe.method

    def task(self, name: str, sound: Encoder) -> Objective:
        """An untrained task on this encoder, which it trains further."""
        return OBJECTIVES[name].from_recipe(self.recipe, sound)

    def new_encoder(self) -> SoundEncoder:
        """An untrained encoder like those of the teachers."""
        return new_encoder(self.recipe)


def _ears(description: dict[str, Any]) -> int:
    """Channels that enter an encoder of this description (see `models.encoders.build`)."""
    while "channels" not in description:
        description = (description.get("parts") or description["columns"])[0]
    return int(description["channels"])


Combine = Callable[[Combining], Encoder]
"""A method."""
