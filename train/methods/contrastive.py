"""Contrastive distillation: a student whose features of a clip are nearer to the teachers' of that clip than to those of others."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.sound import pool_over_time
from train.methods.base import Combining
from train.methods.distil import Distillation
from train.objectives.contrast import first_row, gathered, info_nce


class Contrastive(Distillation):
    """D(s, t): InfoNCE of the pooled features on the unit sphere, anchored at the student; positive: the teacher's of the same clip,
    negatives: the teacher's of all others (of all processes).
    """

    def __init__(self, student: nn.Module, teachers, temperature: float) -> None:  # type: ignore[no-untyped-def]
        super().__init__(student, teachers)
        self.temperature = temperature

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        anchors, targets = (F.normalize(pool_over_time(features).float(), dim=1) for features in (student, teacher))
        positive = torch.arange(len(anchors), device=anchors.device) + first_row(len(anchors))
        return info_nce(anchors, gathered(targets), positive, self.temperature)


def contrastive(given: Combining) -> nn.Module:
    """The student starts from scratch."""
    make = lambda: Contrastive(given.new_encoder(), given.teachers, given.settings.temperature)  # noqa: E731
    return given.learn("student", make).sound
