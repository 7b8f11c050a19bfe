"""The kernels of labels and flow on the device against the CPU's. Imports only what an offline GPU host has."""

import numpy as np
import pytest
import torch

from dataio.stream.kernels import maps, rotate


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("stored", "size"), [((64, 128), (64, 128)), ((64, 128), (48, 96)), ((32, 64), (50, 91)), ((256, 512), (64, 64))]
)
def test_labels_and_flow_on_the_device(stored, size):
    from dataio.stream.kernels import maps_cuda, rotate_cuda

    rng, clips = np.random.default_rng(0), 3
    labels = rng.integers(0, 256, (clips, *stored), np.uint8)
    flow, valid = rng.normal(0, 5, (clips, *stored, 2)).astype(np.float32), rng.random((clips, *stored)) < 0.6
    flow[~valid] = np.nan
    shift, mirror = [0, 5, size[1] - 1], [0, 1, 1]
    wanted, vectors = np.empty((clips, 1, *size), np.uint8), np.empty((clips, 2, *size), np.float32)
    for i in range(clips):
        maps.turn_labels(labels[i], shift[i], bool(mirror[i]), wanted[i, 0])
        maps.turn_flow(flow[i], valid[i], shift[i], bool(mirror[i]), vectors[i])
    on = [torch.tensor(values, device="cuda") for values in (shift, mirror)]
    out = torch.empty(wanted.shape, dtype=torch.uint8, device="cuda")
    moved = torch.empty(vectors.shape, device="cuda")
    tables = rotate_cuda.Tables(rotate.plan(stored, size))
    maps_cuda.turn_labels(torch.from_numpy(labels).cuda(), *on, size, out)
    maps_cuda.turn_flow(torch.from_numpy(flow).cuda(), torch.from_numpy(valid.astype(np.uint8)).cuda(), *on, tables, moved)
    torch.cuda.synchronize()
    assert np.array_equal(out.cpu().numpy(), wanted)
    faint = np.abs(vectors).max() * 1e-5
    assert np.abs(moved.cpu().numpy() - vectors).max() < 1e-5 + faint
