"""Incremental learning: one task after another, each from the weights of the one before, without forgetting its features."""

from copy import deepcopy

from torch import Tensor, nn
from torch.func import functional_call

from models.encoder import Encoder
from models.encoders import Frozen
from train.methods.base import Combining
from train.methods.spread import spread
from train.objectives.base import Batch, Metrics, Objective
from train.objectives.contrast import at_least_float32


class Keeping(Objective):
    """A task, and how far its encoder's features have moved from what they were: L + λ · mean (f(x) − f_old(x))² / spread².

    The spread is that of f_old's features in the batch, so that λ means the same for every encoder. Both f and f_old are taken as
    they are handed on, normalised by the statistics that batch norm remembers and not by the batch's, so that the distance is 0
    as long as nothing is learned.
    """

    def __init__(self, task: Objective, old: Encoder, keep: float) -> None:
        nn.Module.__init__(self)
        self.task, self.old, self.keep = task, Frozen(old), keep
        self.encoder = task.encoder
        self.FIELDS, self.MODALITY = task.FIELDS, task.MODALITY  # type: ignore[misc]

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss; the task's metrics, and `moved`: the distance without λ."""
        moved = self.moved(at_least_float32(batch[self.task.MODALITY.field]))
        loss, metrics = self.task(batch)
        return loss + self.keep * moved, metrics | {"moved": moved.detach()}

    def moved(self, given: Tensor) -> Tensor:
        """How far the features of these inputs are from what they were, in squared spreads: 0-dimensional."""
        before = at_least_float32(self.old(given))
        # copies of the statistics, because the task's own pass renews them in place before the gradient has been taken
        remembered = {name: value.clone() for name, value in self.encoder.named_buffers()}
        learning = self.encoder.training
        self.encoder.eval()
        now = at_least_float32(functional_call(self.encoder, remembered, (given,)))
        self.encoder.train(learning)
        return ((now - before) / spread(before)).square().mean()


def incremental(given: Combining) -> Encoder:
    """The first task is there already: its pretrained encoder."""
    first, *rest = given.settings.tasks
    encoder = given.teachers[first]
    for number, name in enumerate(rest, 2):

        def make(name: str = name, old: Encoder = encoder) -> Objective:
            return Keeping(given.task(name, deepcopy(old).requires_grad_(True)), old, given.settings.keep)

        encoder = given.learn(f"{number}-{name}", make).encoder
    return encoder
