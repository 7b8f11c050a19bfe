"""Multi-SSL: how several tasks become one encoder. One method a file, all through `base.Combining`."""

from train.methods.base import Combine, Combining
from train.methods.concatenate import concatenate
from train.methods.contrastive import contrastive
from train.methods.euclidean import euclidean
from train.methods.incremental import incremental
from train.methods.multitask import multitask
from train.methods.progressive import progressive
from train.methods.random import random

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

__all__ = ["METHODS", "UNTAUGHT", "Combining"]
