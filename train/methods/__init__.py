"""Multi-SSL: how several tasks become one encoder. One method a file, all through `base.Combining`."""

from train.methods.base import Combine, Combining
from train.methods.concatenate import concatenate
from train.methods.contrastive import contrastive
from train.methods.euclidean import euclidean
from train.methods.incremental import incremental
from train.methods.multitask import multitask
from train.methods.progressive import progressive
from train.methods.random import random
from train.recipe import Method, Task

METHODS: dict[str, Combine] = {
    "random": random,
    "concatenate": concatenate,
    "multitask": multitask,
    "progressive": progressive,
    "euclidean": euclidean,
    "contrastive": contrastive,
    "incremental": incremental,
}
"""By the recipe's `method.name`."""

UNTAUGHT = ("random", "multitask")
"""Methods that need no pretrained encoders."""

FIRST_TAUGHT = ("progressive", "incremental")
"""Methods that begin with the first task's encoder and learn the other tasks themselves."""


def taught(method: Method) -> tuple[Task, ...]:
    """The tasks whose pretrained encoders a method needs, in their order: no other has to be trained for it."""
    if method.name in UNTAUGHT:
        return ()
    return method.tasks[:1] if method.name in FIRST_TAUGHT else method.tasks


__all__ = ["METHODS", "UNTAUGHT", "Combining", "taught"]
