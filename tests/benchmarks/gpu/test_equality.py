"""What counts as equal, and what does not."""

import pytest
import torch

from benchmarks.gpu.equality import difference, equal
from dataio.stream.kernels.rotate import STD

GREY = (1 / 255 / torch.tensor(STD)).view(3, 1, 1, 1)


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(0)
    return {
        "clip": torch.arange(4),
        "frames": torch.randn((4, 3, 2, 16, 32), generator=rng),
        "sound": torch.rand((4, 2, 257, 7), generator=rng),
        "flow": torch.randn((4, 2, 8, 8), generator=rng),
    }


def test_what_decoders_and_rounding_leave_open_is_equal(batch):
    near = batch | {"frames": batch["frames"] + 2 * GREY, "sound": batch["sound"] * (1 + 5e-5), "flow": batch["flow"] + 1e-4}
    found = difference(batch, near | {"frames": near["frames"].half()})
    assert equal(found) and found["frames"] == 1.0


@pytest.mark.parametrize(
    "change",
    [
        lambda b: {"clip": b["clip"].flip(0)},
        lambda b: {"frames": b["frames"] + 3 * GREY},
        lambda b: {"frames": b["frames"].roll(1, -1)},
        lambda b: {"sound": b["sound"] * (1 + 2e-4)},
        lambda b: {"sound": b["sound"].nan_to_num().fill_(float("nan"))},
        lambda b: {"sound": b["sound"][:, :1]},
        lambda b: {"flow": b["flow"] + 0.01},
        lambda b: {"flow": b["flow"].clone().fill_(float("nan"))},
        lambda b: {"mask": torch.zeros(4)},
    ],
)
def test_more_is_not(batch, change):
    assert not equal(difference(batch, batch | change(batch)))
