"""The turning kernels on the device against the CPU's. Imports only what an offline GPU host has."""

import numpy as np
import pytest
import torch

from dataio.stream.kernels import rotate

STORED = (64, 128)


def _agree(stored, size, dtype, *, clips=2, frames=8, fast=True, beside=0):
    from dataio.stream.kernels import rotate_cuda

    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (clips, frames, *stored, 3), np.uint8)
    shift = [(7 * i + size[1] // 4) % size[1] for i in range(clips)]
    mirror = [i % 2 for i in range(clips)]
    plan = rotate.plan(stored, size)
    expected = np.empty((clips, 3, frames, *size), np.float32)
    for i in range(clips):
        rotate.rotate(pictures[i], shift[i], bool(mirror[i]), plan, expected[i])
    room = torch.empty(pictures.size + beside, dtype=torch.uint8, device="cuda")
    room[beside:] = torch.from_numpy(pictures).reshape(-1).cuda()
    lying = room[beside:].reshape(pictures.shape)
    out = torch.full(expected.shape, torch.nan, device="cuda", dtype=dtype)
    tables = rotate_cuda.Tables(plan, fast=fast)
    turns = [torch.tensor(values, device="cuda") for values in (shift, mirror)]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    rotate_cuda.rotate(lying, *turns, tables, out, stream.cuda_stream)
    stream.synchronize()
    tolerance = 1e-4 if dtype == torch.float32 else 3e-3
    assert np.abs(out.float().cpu().numpy() - expected).max() < tolerance


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("size", [(64, 128), (48, 96), (224, 448), (63, 127), (17, 20)])
def test_kernel_on_the_device(size, dtype):
    _agree(STORED, size, dtype)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("stored", "size"),
    [((256, 512), (256, 512)), ((256, 512), (224, 448)), ((960, 1920), (256, 512)), ((1920, 3840), (64, 64)), ((45, 77), (45, 77))],
)
def test_common_and_uncommon_sizes(stored, size):
    _agree(stored, size, torch.float16, frames=3)


@pytest.mark.gpu
@pytest.mark.parametrize("size", [(64, 128), (32, 64)])
def test_memory_that_begins_beside_a_word_and_the_plain_kernel(size):
    _agree(STORED, size, torch.float32, beside=1)
    _agree(STORED, size, torch.float32, fast=False)


@pytest.mark.gpu
def test_a_batch_of_more_than_four_gigabytes():
    """Byte offsets beyond 32 bits: the last clip is as good as the first."""
    from dataio.stream.kernels import rotate_cuda

    clips, frames, side = 190, 60, (256, 512)
    tables = rotate_cuda.Tables(rotate.plan(side, side))
    pictures = torch.empty((clips, frames, *side, 3), dtype=torch.uint8, device="cuda")
    pictures[:] = torch.randint(0, 256, (frames, *side, 3), dtype=torch.uint8, device="cuda")
    out = torch.empty((clips, 3, frames, *side), dtype=torch.float16, device="cuda")
    turns = torch.full((clips,), 100, device="cuda"), torch.zeros(clips, dtype=torch.int64, device="cuda")
    torch.cuda.synchronize()
    rotate_cuda.rotate(pictures, *turns, tables, out)
    torch.cuda.synchronize()
    assert pictures.numel() > 2**32 and torch.equal(out[0], out[-1])
    mean, std = (torch.tensor(values, device="cuda")[:, None, None, None] for values in (rotate.MEAN, rotate.STD))
    expected = (pictures[-1].roll(-100, 2).permute(3, 0, 1, 2).float() / 255 - mean) / std
    assert (out[-1].float() - expected).abs().max() < 3e-3
