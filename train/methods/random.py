"""Random: an untrained encoder, the baseline that every other has to beat."""

from torch import nn

from train.methods.base import Combining


def random(given: Combining) -> nn.Module:
    """Weights as they are drawn, from the recipe's seed; batch norm has seen nothing and changes nothing."""
    return given.new_encoder()
