"""A tiny VOC2007 and an encoder that sees colours."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.encoder import Encoder
from tests.train.downstream.images.voc_set import write_voc


class ColourEncoder(Encoder):
    """The mean colour of cells of 32 × 32 pixels, mixed into 8 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 8
        self.mix = nn.Conv2d(3, 8, 1)

    def out_size(self, height: int, width: int) -> tuple[int, int]:
        return height // 32, width // 32

    def forward(self, pictures: Tensor) -> Tensor:
        return F.relu(self.mix(F.avg_pool2d(pictures, 32)))


@pytest.fixture(scope="session")
def voc(tmp_path_factory) -> Path:
    """80 pictures to learn from and 40 to judge, without difficult classes."""
    return write_voc(tmp_path_factory.mktemp("voc"))


@pytest.fixture
def colours() -> ColourEncoder:
    torch.manual_seed(0)
    return ColourEncoder()
