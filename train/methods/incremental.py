"""Incremental learning: one task after another, each from the weights of the one before, without forgetting its features."""

from copy import deepcopy

from torch import Tensor, nn

from models.encoders import Frozen
from train.methods.base import Combining
from train.objectives.base import Batch, Metrics, Objective


class Keeping(Objective):
    """A task, and how far its encoder's features have moved from what they were: L + λ · mean (f(x) − f_old(x))² / spread².

    The spread is that of f_old's features in the batch, so that λ means the same for every encoder.
    """

    def __init__(self, task: Objective, old: nn.Module, keep: float) -> None:
        nn.Module.__init__(self)
        self.task, self.old, self.keep = task, Frozen(old), keep
        self.sound = task.sound
        self.FIELDS = task.FIELDS  # type: ignore[misc]

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss; the task's metrics, and `moved`: the distance without λ."""
        loss, metrics = self.task(batch)
        before = self.old(batch["sound"]).float()
        moved = ((self.sound(batch["sound"]).float() - before) / before.std().clamp_min(1e-6)).square().mean()
        return loss + self.keep * moved, metrics | {"moved": moved.detach()}


def incremental(given: Combining) -> nn.Module:
    """The first task is there already: its pretrained encoder."""
    first, *rest = given.settings.tasks
    encoder = given.teachers[first]
    for number, name in enumerate(rest, 2):

        def make(name: str = name, old: nn.Module = encoder) -> Objective:
            return Keeping(given.task(name, deepcopy(old).requires_grad_(True)), old, given.settings.keep)

        encoder = given.learn(f"{number}-{name}", make).sound
    return encoder
