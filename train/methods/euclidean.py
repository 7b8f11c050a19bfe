"""Euclidean distillation: a student whose features lie near those of all single-task encoders."""

from torch import Tensor, nn

from train.methods.base import Combining
from train.methods.distil import Distillation


class Euclidean(Distillation):
    """D(s, t) = mean (s − t)², over all places and channels, with t brought to unit spread, so that no teacher outweighs another."""

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = student.float(), teacher.float()
        spread = teacher.std().clamp_min(1e-6)
        return ((student - teacher) / spread).square().mean()


def euclidean(given: Combining) -> nn.Module:
    """The student starts from scratch."""
    return given.learn("student", lambda: Euclidean(given.new_encoder(), given.teachers)).sound
