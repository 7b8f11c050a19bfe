"""The bench of the spectrogram, rehearsed on the CPU; the cuFFT contender's own kernels simulated, with NumPy in place of cuFFT."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks.gpu.stft import measure
from dataio.stream.kernels import stft
from tests.dataio.stream.kernels.hopper import built


def test_rehearsal_runs_every_contender_and_is_json() -> None:
    found = json.loads(json.dumps(measure(torch.device("cpu"), rounds=1, small=True)))
    assert found["copy_gb_per_s"] > 0 and [case["pairs"] for case in found["cases"]] == [8, 2]
    for case in found["cases"]:
        assert case["bare_cufft_ms"] is None and "cpu" in case["bare_cufft_error"]
        names = {(entry["name"], entry["kind"]): entry for entry in case["contenders"]}
        assert len(names) == 11
        for (name, _), entry in names.items():
            if name.startswith("DALI") and "error" in entry:
                assert entry["error"].startswith(("ImportError", "ModuleNotFoundError"))
                continue
            assert "error" not in entry and entry["ms"] > 0 and entry["share_of_bound"] > 0 and entry["difference"] <= 1e-4, entry
        assert set(case["fastest"]) == set(stft.KINDS) and all(case["fastest"].values())


def _windowed_bins(frames: np.ndarray) -> np.ndarray:
    """The Hann window applied to bins of rectangular frames, in float32."""
    bins = np.fft.rfft(frames)
    assert bins.dtype == np.complex64
    below = np.concatenate([bins[:, 1:2].conj(), bins[:, :-1]], 1)
    above = np.concatenate([bins[:, 1:], bins[:, -2:-1].conj()], 1)
    return np.float32(0.5) * bins - np.float32(0.25) * (below + above)


def test_the_window_may_be_applied_to_bins_but_leaves_more_rounding_in_quiet_ones() -> None:
    """1e-7 of the whole either way; beside a tone, far bins hold the rounding of what the rectangular frame leaks there."""
    rng, time = np.random.default_rng(0), np.arange(512)
    window = stft.HANN.astype(np.float64)
    for frames in (rng.uniform(-1, 1, (50, 512)), np.sin(time * rng.uniform(0.1, 3, (50, 1)))):
        single = frames.astype(np.float32)
        exact = np.fft.rfft(single.astype(np.float64) * window)
        assert np.linalg.norm(_windowed_bins(single) - exact) < 5e-7 * np.linalg.norm(exact)
        far = np.abs(exact) < 1e-4 * np.abs(exact).max()
        error = [np.abs(bins - exact)[far].max(initial=0) for bins in (_windowed_bins(single), np.fft.rfft(single * stft.HANN))]
        assert max(error) < 1e-6 * np.abs(exact).max()


SIMULATED = """
import numpy as np
import tests.dataio.stream.kernels.simulator
from numba import cuda
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
from benchmarks.gpu import stft_cufft
from dataio.stream.kernels import stft
rng, pairs, n = np.random.default_rng(0), 2, 330
pcm, gains = rng.integers(-20000, 20001, (pairs, n, 2)).astype(np.int16), rng.uniform(0.5, 2, (pairs, 2)).astype(np.float32)
room, frames = stft_cufft.pitch(n), stft.columns(n)
x = np.full(2 * pairs * room + 512, np.float32(0))
stft_cufft.widen[(-(-room // 64), pairs), 64](pcm.reshape(-1), gains.reshape(-1), n, room, x)
views = np.lib.stride_tricks.sliding_window_view(x, 512)[::160][: 2 * pairs * room // 160]  # what the layout means
z = np.fft.rfft(np.ascontiguousarray(views)).reshape(-1)
out, wanted = np.full((pairs, 2, 257, frames), np.nan, np.float32), np.empty((pairs, 2, 257, frames), np.float32)
class Libdevice:
    fast_logf = staticmethod(np.log)
from numba.cuda.simulator import kernelapi
kernelapi.FakeCUDAModule.libdevice = Libdevice
stft_cufft.window_log[(-(-frames // 32), 9, 2 * pairs), (32, 8)](z, frames, room // 160, out.reshape(-1))
for i in range(pairs):
    stft.spectrogram(pcm[i], gains[i], wanted[i], "log")
assert not np.isnan(out).any() and np.median(np.abs(out - wanted)) < 1e-6 and np.abs(out - wanted).max() < 5e-3
print("agreed")
"""


def test_the_kernels_around_cufft_in_the_simulator() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIMULATED], env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "agreed", done.stderr


def test_the_kernels_around_cufft_compile_for_a_gpu(tmp_path, monkeypatch) -> None:
    types = pytest.importorskip("numba.cuda").types
    from benchmarks.gpu import stft_cufft

    i8, f4 = types.int64, types.float32
    widen = types.void(types.int16[::1], f4[::1], i8, i8, f4[::1])
    for kernel, signature in (
        (stft_cufft.widen, widen),
        (stft_cufft.window_log, types.void(types.complex64[::1], i8, i8, f4[::1])),
    ):
        assert built(kernel, signature, tmp_path, monkeypatch).spills in (None, 0)
