"""What both distillations share: one student, in whose features those of every frozen teacher should be found."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.encoder import Encoder
from models.encoders import Frozen
from train.methods.base import Combining
from train.modality import Modality
from train.objectives.base import Batch, Metrics, Objective
from train.objectives.contrast import at_least_float32


class Distillation(Objective):
    """Σ_k D(g_k(f(x)), f_k(x)) / K for the teachers f_k; g_k is a 1 × 1 convolution of its own for each, thrown away afterwards.

    Only what enters the encoders is read.
    """

    def __init__(self, modality: Modality, student: Encoder, teachers: Mapping[str, Encoder]) -> None:
        nn.Module.__init__(self)
        self.FIELDS, self.MODALITY = (modality.field,), modality  # type: ignore[misc]
        self.encoder = student
        self.teachers = nn.ModuleDict({name: Frozen(teacher) for name, teacher in teachers.items()})
        self.translate = nn.ModuleDict(
            {name: nn.Conv2d(student.out_channels, teacher.out_channels, 1) for name, teacher in teachers.items()}
        )

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """From maps (B, C, h, w) to a 0-dimensional mean."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and each teacher's part of it as `distance_<task>`."""
        given = at_least_float32(batch[self.MODALITY.field])
        features = self.encoder(given)
        distances = {name: self.distance(self.translate[name](features), teacher(given)) for name, teacher in self.teachers.items()}
        loss = sum(distances.values(), start=features.new_zeros(())) / len(distances)
        return loss, {f"distance_{name}": value.detach() for name, value in distances.items()}


def student(given: Combining) -> Encoder:
    """An untrained encoder, whose features can be compared with those of every teacher.

    Raises:
        ValueError: a teacher's map has another size.
    """
    made = given.new_encoder()
    for name, teacher in given.teachers.items():
        own, theirs = given.map_size(made), given.map_size(teacher)
        if own != theirs:
            raise ValueError(
                f"the teacher of {name!r} gives maps of {theirs[0]}x{theirs[1]} and the student of {own[0]}x{own[1]}: "
                "the settings of `model` must be those of the teacher"
            )
    return made
