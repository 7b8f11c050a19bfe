"""The CUDA kernels in numba's simulator against those of the CPU."""

import os
import subprocess
import sys

import numpy as np

from dataio.stream.images.blur import kernel
from dataio.stream.images.views_cuda import tables

SIMULATED = """
import numpy as np
from numba import cuda
from dataio.stream.images import views_cuda
from dataio.stream.images.blur import blur, kernel
from dataio.stream.images.colour import colour
views_cuda.THREADS = 32
rng = np.random.default_rng(0)
B, S = 6, 12
pictures = rng.integers(0, 256, (B, S, S, 3), np.uint8)
order = np.array([rng.permutation(4) for _ in range(B)])
factors = rng.uniform((0.6, 0.6, 0.6, -0.1), (1.4, 1.4, 1.4, 0.1), (B, 4)).astype(np.float32)
factors[1] = 1, 1, 1, 0
factors[2, 1] = 1
grey, flip = np.array([0, 0, 1, 0, 1, 0], bool), np.array([0, 1, 0, 1, 1, 0], bool)
gain, bias = np.array([0.5, 1, 2], np.float32), np.array([3, 2, 1], np.float32)
for sigma in (np.array([0, 0.1, 0, 1.3, 2.0, 0.8]), np.zeros(B)):
    expected = np.empty((B, 3, S, S), np.float32)
    for b in range(B):
        colour(pictures[b], order[b], factors[b], bool(grey[b]), bool(flip[b]), gain, bias, expected[b])
        if sigma[b]:
            blur(expected[b], kernel(sigma[b]), np.empty((S, S), np.float32))
    there = cuda.to_device
    blurs = {name: there(values) for name, values in views_cuda.tables(sigma).items()}
    work = [there(np.full((np.count_nonzero(sigma), 3, S, S), np.nan, np.float32)) for _ in range(2)]
    out = there(np.full_like(expected, np.nan))
    numbers = [there(x) for x in (order, factors, grey, flip, gain, bias)]
    views_cuda.views(there(pictures), *numbers, blurs, *work, out)
    assert np.abs(out.copy_to_host() - expected).max() < 2e-3, sigma
print("agreed")
"""


def test_kernels_in_the_simulator():
    """In a process of its own, because numba takes the simulator or the driver once, at import."""
    done = subprocess.run(
        [sys.executable, "-c", SIMULATED], env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "agreed", done.stderr


def test_tables_of_a_batch():
    found = tables(np.array([0, 1.0, 0, 0.3]))
    assert found["slot"].tolist() == [-1, 0, -1, 1] and found["where"].tolist() == [1, 3] and found["radius"].tolist() == [4, 2]
    assert (
        found["weights"].shape == (2, 5)
        and np.array_equal(found["weights"][1, :3], kernel(0.3))
        and not found["weights"][1, 3:].any()
    )
    nothing = tables(np.zeros(3))
    assert nothing["slot"].tolist() == [-1, -1, -1] and nothing["weights"].shape == (0, 1)
