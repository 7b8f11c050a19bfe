"""Concatenate: the features of all single-task encoders side by side. Nothing is learned anew."""

from torch import nn

from models.encoders import ConcatenatedEncoder
from train.methods.base import Combining


def concatenate(given: Combining) -> nn.Module:
    """f(x) = [f_1(x), …, f_K(x)]: K times the channels, and K times the work."""
    return ConcatenatedEncoder(list(given.teachers.values()))
