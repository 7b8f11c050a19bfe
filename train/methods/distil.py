"""What both distillations share: one student, in whose features those of every frozen teacher should be found."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.encoder import Encoder
from models.encoders import Frozen
from train.methods.base import Combining
from train.objectives.base import Batch, Metrics, Objective, sound_grid


class Distillation(Objective):
    """Σ_k D(g_k(f(x)), f_k(x)) / K for the teachers f_k; g_k is a 1 × 1 convolution of its own for each, thrown away afterwards.

    Only sound is read.
    """

    FIELDS = ("sound",)

    def __init__(self, student: Encoder, teachers: Mapping[str, Encoder]) -> None:
        nn.Module.__init__(self)
        self.sound = student
        self.teachers = nn.ModuleDict({name: Frozen(teacher) for name, teacher in teachers.items()})
        self.translate = nn.ModuleDict(
            {name: nn.Conv2d(student.out_channels, teacher.out_channels, 1) for name, teacher in teachers.items()}
        )

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """From maps (B, C, F, T) to a 0-dimensional mean."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and each teacher's part of it as `distance_<task>`."""
        features = self.sound(batch["sound"])
        distances = {
            name: self.distance(self.translate[name](features), teacher(batch["sound"])) for name, teacher in self.teachers.items()
        }
        loss = sum(distances.values(), start=features.new_zeros(())) / len(distances)
        return loss, {f"distance_{name}": value.detach() for name, value in distances.items()}


def student(given: Combining) -> Encoder:
    """An untrained encoder, whose features can be compared with those of every teacher.

    Raises:
        ValueError: a teacher's map has another size.
    """
    made = given.new_encoder()
    grid = sound_grid(given.recipe)
    for name, teacher in given.teachers.items():
        own, theirs = made.out_size(*grid), teacher.out_size(*grid)
        if own != theirs:
            raise ValueError(
                f"the teacher of {name!r} gives maps of {theirs[0]}x{theirs[1]} and the student of {own[0]}x{own[1]}: "
                "model.sound_depth and model.sound_pool_time must be those of the teacher"
            )
    return made
