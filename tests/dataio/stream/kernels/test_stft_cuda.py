"""The GPU's spectrogram without a GPU: in numba's simulator against the CPU's, compiled for one, and its plan of shared memory."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba.cuda")

from numba.cuda import types

from dataio.stream.kernels import fft_cuda, stft, stft_cuda
from tests.dataio.stream.kernels.hopper import built

SIMULATED = """
import sys
import numpy as np
import tests.dataio.stream.kernels.simulator
from numba import cuda
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
from dataio.stream.kernels import stft, stft_cuda
rng, kind = np.random.default_rng(0), sys.argv[1]

def material(n):
    time = np.arange(n)
    impulses = np.zeros((n, 2))
    for hop in range(n // 160):  # a different place of every hop, and of either ear
        impulses[160 * hop + 11 * hop % 160, 0], impulses[160 * hop + (37 * hop + 5) % 160, 1] = 16384, -16384
    sine = np.stack([16000 * np.sin(time * 0.4), 300 * np.cos(time * 0.41)], 1)
    clipped = np.where(rng.random((n, 2)) < 0.5, -32768, 32767)
    one_ear = rng.integers(-20000, 20001, (n, 2)) * [1, 0]
    return {
        "noise": rng.integers(-20000, 20001, (n, 2)), "sine": sine, "silence": np.zeros((n, 2)), "clipped": clipped,
        "impulses": impulses, "one ear": one_ear,
    }

CASES = [(257, ["noise"]), (258, ["clipped"]), (511, ["sine"]), (512, ["one ear"]), (2401, ["impulses", "silence"])]
CASES += [(2719, ["noise"])] if kind in ("log", "ipd") else []  # 17 columns: two blocks
for n, names in CASES:
    sounds = material(n)
    pcm = np.stack([np.round(sounds[name]).astype(np.int16) for name in names])
    gains = rng.uniform(0.2, 3, (len(names), 2)).astype(np.float32)
    shape = (2, *((2,) if kind == "complex" else ()), 257, stft.columns(n))
    wanted, turns = np.empty((len(names), *shape), np.float32), np.empty((len(names), 2, 2, 257, shape[-1]), np.float32)
    for i in range(len(names)):
        stft.spectrogram(pcm[i], gains[i], wanted[i], kind)
        stft.spectrogram(pcm[i], gains[i], turns[i], "complex")
    room = np.full((len(names) + 2, *shape), np.nan, np.float32)
    stft_cuda.spectrogram(FakeCUDAArray(pcm), FakeCUDAArray(gains), FakeCUDAArray(room[1:-1]), kind)
    found = room[1:-1]
    assert np.isnan(room[[0, -1]]).all() and not np.isnan(found).any(), (n, "more or less than the output was written")
    power = (turns.astype(np.float64) ** 2).sum(2)
    # a bin that nearly cancels keeps the rounding of its neighbours, as in test_stft.py
    slack = 2e-6 * np.sqrt(power.mean(2, keepdims=True)) / np.sqrt(np.maximum(power, 1e-10))
    if kind == "log":
        assert (np.abs(found - wanted) < 1e-5 + 2 * np.where(power > 0.5e-5, slack, 1e-7)).all(), (n, names)
    elif kind == "ipd":
        clear = (power > 4e-10).all(1) & (slack < 1e-3).all(1)
        assert np.abs(found - wanted)[np.stack([clear, clear], 1)].max(initial=0) < 2e-3, (n, names)
        assert names != ["noise"] or np.median(np.abs(found - wanted)) < 1e-6, (n, names)
        quiet = (power == 0).any(1)
        assert (found[:, 0][quiet] == 1).all() and (found[:, 1][quiet] == 0).all(), (n, names)
    else:
        for a, b in zip(found.reshape(-1, wanted[0, 0].size), wanted.reshape(-1, wanted[0, 0].size)):  # each ear by itself
            assert np.linalg.norm(a - b) <= 5e-7 * np.linalg.norm(b), (n, names)
print("agreed")
"""


def run(script: str, *arguments: str) -> None:
    """In a process of its own, because numba takes the simulator or the driver once, at import."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "agreed", done.stderr


@pytest.mark.parametrize("kind", stft.KINDS)
def test_kernels_in_the_simulator(kind: str) -> None:
    run(SIMULATED, kind)


@pytest.mark.parametrize("kind", stft.KINDS)
def test_kernels_compile_for_a_gpu(kind: str, tmp_path, monkeypatch) -> None:
    """Nothing lies in local memory, two blocks fit a multiprocessor, and functions are approximate where that was meant."""
    i4, f4 = types.int32, types.float32
    signature = types.void(i4[::1], f4[::1], i4, i4, types.uint32, types.uint64, f4[::1])
    found = built(stft_cuda.kernels[kind], signature, tmp_path, monkeypatch)
    assert found.spills in (None, 0) and (found.registers is None or found.registers <= 128), found
    assert ".local" not in found.ptx and "ld.shared.v2.f32" in found.ptx and "st.shared.v2.f32" in found.ptx
    assert found.ptx.count("bar.sync") == 5
    meant = {
        "log": "lg2.approx.ftz.f32",
        "magnitude": "sqrt.approx.ftz.f32",
        "complex": "st.global.f32",
        "ipd": "shfl.sync.bfly.b32",
    }
    assert meant[kind] in found.ptx
    assert found.ptx.count("st.global.f32") == (2 if kind == "complex" else 1) * 2 * 33  # 16 pairs of bins, or 9 and 8


def test_shared_memory_is_large_enough_and_its_banks_do_not_collide() -> None:
    """Every sample that a frame reads is where it was put, and sixteen lanes read 16 different pairs of banks."""
    put = {at: 2 * (at + at // fft_cuda.HOP_PAIRS) for at in range(stft_cuda.PAIRS)}
    assert [at * 52429 >> 22 for at in range(40_000)] == [at // fft_cuda.HOP_PAIRS for at in range(40_000)]  # as `hops` divides
    assert max(put.values()) + 2 == stft_cuda.EAR and 2 * stft_cuda.EAR <= fft_cuda.EXCHANGE <= 48 * 1024 // 4
    for j in range(16):
        for m in range(16):
            read = [2 * (fft_cuda.PITCH * frame + j + m // 5 * fft_cuda.PITCH + m % 5 * 16) for frame in range(16)]
            assert read == [put[80 * frame + j + 16 * m] for frame in range(16)]
            assert len({place // 2 % 16 for place in read}) == 16


@pytest.mark.parametrize(("pairs", "frames", "most"), [(256, 601, 2**31 - 1), (7, 33, 10), (10, 16, 1), (0, 601, 2**31 - 1)])
def test_launches_cover_every_block_once(pairs: int, frames: int, most: int) -> None:
    groups = -(-frames // 16)
    launches = stft_cuda.geometry(pairs, frames, most)
    assert all(0 < blocks <= most and blocks % groups == 0 for _, blocks in launches)
    assert [first + i // groups for first, blocks in launches for i in range(0, blocks, groups)] == list(range(pairs))


def test_a_billion_columns_are_split_into_launches_that_cuda_takes() -> None:
    launches = stft_cuda.geometry(10**8, 601)
    assert len(launches) == 2 and sum(blocks for _, blocks in launches) == 38 * 10**8
    assert stft_cuda.geometry(1, stft.columns(stft_cuda.LONGEST)) == [(0, -(-stft.columns(stft_cuda.LONGEST) // 16))]


WRONG = """
import numpy as np
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
from dataio.stream.kernels import stft_cuda
good = {"pcm": np.zeros((2, 400, 2), np.int16), "gains": np.ones((2, 2), np.float32), "out": np.zeros((2, 2, 257, 3), np.float32)}
beside = np.zeros(2 * 400 * 2 + 1, np.int16)[1:].reshape(2, 400, 2)
for name, wrong in [
    ("pcm", good["pcm"].astype(np.float32)), ("pcm", good["pcm"][0]), ("pcm", np.zeros((2, 400, 3), np.int16)),
    ("pcm", np.zeros((2, 256, 2), np.int16)), ("pcm", good["pcm"][:, ::2]), ("pcm", beside),
    ("gains", good["gains"][:1]), ("gains", np.ones((2, 2))), ("out", good["out"][:, :, :, :2]), ("out", np.zeros((2, 2, 257, 3))),
    ("out", np.zeros((2, 2, 257, 4), np.float32)), ("kind", "power"),
]:
    given = good | {"kind": "log"} | {name: wrong}
    try:
        stft_cuda.spectrogram(*(FakeCUDAArray(given[key]) for key in good), given["kind"])
    except ValueError as error:
        assert str(error).startswith(name), error
        assert "expected" in str(error) or "allowed" in str(error), error
        continue
    raise AssertionError(f"{name} {wrong} was taken")
empty = [np.zeros((0, *values.shape[1:]), values.dtype) for values in good.values()]
stft_cuda.spectrogram(*map(FakeCUDAArray, empty), "log")
print("agreed")
"""


def test_what_cannot_be_done_is_said_and_an_empty_batch_is_none() -> None:
    run(WRONG)
