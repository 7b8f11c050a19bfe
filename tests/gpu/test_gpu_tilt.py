"""The tilting kernels on the device against the CPU's. Imports only what an offline GPU host has."""

import numpy as np
import pytest
import torch

from dataio.stream.kernels import rotate


@pytest.mark.gpu
@pytest.mark.parametrize(("stored", "size"), [((64, 128), (64, 128)), ((256, 512), (128, 256)), ((45, 77), (50, 91))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_tilted_frames_labels_and_flow(stored, size, dtype):
    from dataio.stream.kernels import rotate_cuda, tilt, tilt_cuda, tilt_maps

    rng = np.random.default_rng(0)
    turns = [tilt.Turn(3, True, 50.0, -20.0), tilt.Turn(0, False, 0.0, 0.0), tilt.Turn(size[1] - 1, False, -90.0, 10.0)]
    frames, labels = rng.integers(0, 256, (3, 2, *stored, 3), np.uint8), rng.integers(0, 256, (3, *stored), np.uint8)
    flow, valid = rng.normal(0, 2, (3, *stored, 2)).astype(np.float32), rng.random((3, *stored)) < 0.6
    plan = rotate.plan(stored, size)
    light, classes, moved = (
        np.empty((3, 3, 2, *size), np.float32),
        np.empty((3, 1, *size), np.uint8),
        np.empty((3, 2, *size), np.float32),
    )
    for i, turn in enumerate(turns):
        places = tilt.places(stored, size, turn)
        for f in range(2):
            tilt.rotate_one(frames[i, f], f, places, plan, light[i])
        tilt_maps.turn_labels(labels[i], turn, classes[i, 0])
        tilt_maps.turn_flow(flow[i], valid[i], turn, moved[i])
    numbers = [t.shift for t in turns], [int(t.mirror) for t in turns], tilt.matrices(turns)
    stands = [torch.tensor(values, device="cuda") for values in numbers]
    out = [torch.empty(light.shape, device="cuda", dtype=dtype), torch.empty(classes.shape, device="cuda", dtype=torch.uint8)]
    out.append(torch.empty(moved.shape, device="cuda"))
    tables = rotate_cuda.Tables(plan)
    tilt_cuda.rotate(torch.tensor(frames, device="cuda"), *stands, tables, out[0])
    tilt_cuda.turn_labels(torch.tensor(labels, device="cuda"), *stands, size, out[1])
    known = torch.tensor(valid.astype(np.uint8), device="cuda")
    tilt_cuda.turn_flow(torch.tensor(flow, device="cuda"), known, *stands, tables, out[2])
    torch.cuda.synchronize()
    shown, seen, led = (array.float().cpu().numpy() for array in out)
    # a place on the border of two pixels may fall to either, as the two mathematics libraries differ in the last digit
    near = np.abs(shown - light) < (1e-4 if dtype == torch.float32 else 3e-3)
    assert near.mean() > 0.9999 and np.abs(shown - light).max() < 0.01
    assert (seen == classes).mean() > 0.999
    assert (np.abs(led - moved) < 1e-4).mean() > 0.999
