"""The turning kernel on the device against the CPU's. Imports only what an offline GPU host has."""

import numpy as np
import pytest
import torch

from dataio.stream.kernels import rotate


@pytest.mark.gpu
@pytest.mark.parametrize("size", [(64, 128), (48, 96), (224, 448)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_kernel_on_the_device(size, dtype):
    from dataio.stream.kernels import rotate_cuda

    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 64, 128, 3), np.uint8)
    plan = rotate.plan((64, 128), size)
    expected = np.empty((2, 3, 8, *size), np.float32)
    shift, mirror = [size[1] // 4, size[1] - 1], [1, 0]
    for i in range(2):
        rotate.rotate(frames[i], shift[i], bool(mirror[i]), plan, expected[i])
    out = torch.empty(expected.shape, device="cuda", dtype=dtype)
    on = [torch.tensor(values, device="cuda") for values in (frames, shift, mirror)]
    rotate_cuda.rotate(*on, rotate_cuda.Tables(plan), out)
    torch.cuda.synchronize()
    tolerance = 1e-4 if dtype == torch.float32 else 3e-3
    assert np.abs(out.float().cpu().numpy() - expected).max() < tolerance
