"""Contrastive distillation: a student whose features of a clip are nearer to the teachers' of that clip than to those of others."""

from collections.abc import Mapping

import torch
from torch import Tensor

from models.encoder import Encoder
from train.methods.base import Combining
from train.methods.distil import Distillation, student
from train.modality import Modality
from train.objectives.contrast import info_nce, unit
from train.objectives.gather import first_row, gathered


class Contrastive(Distillation):
    """D(s, t): InfoNCE of the pooled features on the unit sphere, anchored at the student. Its positive is the teacher's of the
    same clip, its negatives are the teacher's of all others, of all processes.
    """

    def __init__(self, modality: Modality, student: Encoder, teachers: Mapping[str, Encoder], temperature: float) -> None:
        super().__init__(modality, student, teachers)
        self.temperature = temperature

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        anchors, targets = (unit(self.MODALITY.pool(features)) for features in (student, teacher))
        positive = torch.arange(len(anchors), device=anchors.device) + first_row(len(anchors))
        return info_nce(anchors, gathered(targets), positive, self.temperature)


def contrastive(given: Combining) -> Encoder:
    """The student starts from scratch."""
    make = lambda: Contrastive(given.modality, student(given), given.teachers, given.settings.temperature)  # noqa: E731
    return given.learn("student", make).encoder
