"""Concatenate: the features of all single-task encoders side by side. Nothing is learned anew."""

from models.encoder import Encoder
from models.encoders import ConcatenatedEncoder
from train.methods.base import Combining


def concatenate(given: Combining) -> Encoder:
    """f(x) = [f_1(x), …, f_K(x)]: K times the channels, and K times the work.

    Raises:
        ValueError: the teachers' maps have different sizes.
    """
    encoder = ConcatenatedEncoder(list(given.teachers.values()))
    given.map_size(encoder)
    return encoder
