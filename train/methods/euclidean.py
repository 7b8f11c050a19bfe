"""Euclidean distillation: a student whose features lie near those of all single-task encoders."""

from torch import Tensor

from models.encoder import Encoder
from train.methods.base import Combining
from train.methods.distil import Distillation, student
from train.methods.spread import spread
from train.objectives.contrast import at_least_float32


class Euclidean(Distillation):
    """D(s, t) = mean (s − t)², over all places and channels, with t brought to unit spread: no teacher outweighs another."""

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = at_least_float32(student), at_least_float32(teacher)
        return ((student - teacher) / spread(teacher)).square().mean()


def euclidean(given: Combining) -> Encoder:
    """The student starts from scratch."""
    return given.learn("student", lambda: Euclidean(given.modality, student(given), given.teachers)).encoder
