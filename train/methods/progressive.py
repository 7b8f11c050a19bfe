"""ProgressiveNet: a new column for every task, which listens to the frozen ones of the tasks before."""

from models.encoder import Encoder
from models.progressive import ProgressiveEncoder
from train.methods.base import Combining
from train.objectives.base import Objective


def progressive(given: Combining) -> Encoder:
    """The first column is the first task's pretrained encoder; the last column's features are the result."""
    first, *rest = given.settings.tasks
    encoder = given.teachers[first]
    for number, name in enumerate(rest, 2):

        def make(name: str = name, old: Encoder = encoder) -> Objective:
            column = ProgressiveEncoder.beside(old, given.new_encoder(), adapter=given.settings.adapter)  # type: ignore[arg-type]
            return given.task(name, column)

        encoder = given.learn(f"{number}-{name}", make).encoder
    return encoder
