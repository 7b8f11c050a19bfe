"""Backbones for pictures are torchvision's, and their heads are written out."""

import subprocess
import sys

import pytest
import torch
from torchvision import models

from models.image import DenseHead, GlobalHead, ImageEncoder


@pytest.mark.parametrize("size", [(64, 96), (65, 33)])
def test_the_map_is_what_torchvision_pools(size: tuple[int, int]):
    torch.manual_seed(0)
    whole = models.resnet18(weights=None).double().eval()
    encoder = ImageEncoder("resnet18").double().eval()
    encoder.trunk.load_state_dict({name: value for name, value in whole.state_dict().items() if not name.startswith("fc.")})
    pictures = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        found = encoder(pictures)
        assert found.shape == (1, encoder.out_channels, *encoder.out_size(*size))
        torch.testing.assert_close(whole.fc(found.mean((2, 3))), whole(pictures))


def test_parameters_are_those_without_the_classifier():
    assert sum(p.numel() for p in ImageEncoder("resnet50").parameters()) == 25_557_032 - 2048 * 1000 - 1000


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="kind='vgg' of a picture encoder is not known; allowed: resnet18, resnet50"):
        ImageEncoder("vgg")


def test_the_dense_head_is_the_global_one_in_every_cell():
    torch.manual_seed(0)
    of_all, of_each = GlobalHead(3, hidden=4, out=2).double(), DenseHead(3, hidden=4, out=2).double()
    of_each.load_state_dict({name: v[..., None, None] if v.ndim == 2 else v for name, v in of_all.state_dict().items()})
    features = torch.randn(2, 3, 2, 5, dtype=torch.float64, requires_grad=True)
    dense = of_each(features)
    for row in range(2):
        for column in range(5):
            cell = features[:, :, row : row + 1, column : column + 1]
            torch.testing.assert_close(dense[:, :, row, column], of_all(cell))
    assert torch.autograd.gradcheck(of_all, features) and torch.autograd.gradcheck(of_each, features)


def test_who_learns_from_sound_needs_no_torchvision():
    """Importing every task, as each run does, must not import it."""
    script = "import sys, train.run; assert 'torchvision' not in sys.modules; print('without')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "without", done.stderr
