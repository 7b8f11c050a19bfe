"""Random: an untrained encoder, the baseline that every other has to beat."""

from models.encoder import Encoder
from train.methods.base import Combining


def random(given: Combining) -> Encoder:
    """Weights as they are drawn, from the recipe's seed; batch norm has seen nothing and changes nothing."""
    return given.new_encoder()
