"""Batches on the GPU against those on the CPU. Imports only what an offline GPU host has."""

import pytest
import torch

from dataio import ClipLoader, ClipSpec
from dataio.format.clip import PAIRS
from dataio.stream.kernels.rotate import STD


@pytest.mark.gpu
def test_gpu_batches_are_the_cpus(shards):
    """Spectrograms to 1e-4, frames to two grey levels on 99.9 % of pixels, same clips in the same order."""
    spec = ClipSpec(frames=4, size=(32, 64), pairs=PAIRS, sound="magnitude", yaw_classes=4, augment=("turn", "mirror"))
    with ClipLoader(shards, spec, batch_size=4) as cpu, ClipLoader(shards, spec, batch_size=4, device="cuda") as gpu:
        for a, b in zip(cpu, gpu, strict=True):
            assert torch.equal(a["clip"], b["clip"].cpu()) and torch.equal(a["yaw"], b["yaw"].cpu())
            assert (a["sound"] - b["sound"].cpu()).norm() <= 1e-4 * a["sound"].norm()
            grey = (a["frames"] - b["frames"].cpu().float()).abs() * 255 * torch.tensor(STD).view(3, 1, 1, 1)
            assert (grey <= 2.5).float().mean() >= 0.999  # half a level for float16
