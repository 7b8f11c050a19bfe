"""Multi-task: one encoder from scratch under all tasks at once."""

import torch
from torch import Tensor, nn

from models.encoder import Encoder
from train.methods.base import Combining
from train.objectives.base import Batch, Metrics, Objective


class Joint(Objective):
    """The weighted sum of several tasks on one encoder, on the same batch: Σ_k w_k L_k.

    A task that wants the picture as it was recorded turns it back where another has it turned.
    """

    def __init__(self, tasks: dict[str, Objective], weights: dict[str, float]) -> None:
        nn.Module.__init__(self)
        self.tasks = nn.ModuleDict(tasks)
        self.weights = weights
        self.FIELDS = tuple(dict.fromkeys(field for task in tasks.values() for field in task.FIELDS))  # type: ignore[misc]
        first = next(iter(tasks.values()))
        self.encoder, self.MODALITY = first.encoder, first.MODALITY  # type: ignore[misc]

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and each task's own as `loss_<task>`."""
        losses = {name: task(batch)[0] for name, task in self.tasks.items()}
        total = torch.stack([self.weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
        return total, {f"loss_{name}": loss.detach() for name, loss in losses.items()}


def multitask(given: Combining) -> Encoder:
    """The pretrained encoders are not used.

    Raises:
        ValueError: `method.weights` names a task that is not among `method.tasks`.
    """
    settings = given.settings
    if strangers := [name for name in settings.weights if name not in settings.tasks]:
        raise ValueError(
            f"method.weights names {', '.join(strangers)}, but method.tasks={list(settings.tasks)} are what is learned"
        )

    def make() -> Objective:
        encoder = given.new_encoder()
        return Joint(
            {name: given.task(name, encoder) for name in settings.tasks},
            {str(name): weight for name, weight in settings.weights.items()},
        )

    return given.learn("joint", make).encoder
