"""The spectrogram on the device against the CPU's and against float64. Imports only what an offline GPU host has."""

import numpy as np
import pytest
import torch

from dataio.stream.kernels import stft

KINDS = ("log", "magnitude", "complex", "ipd")


def _sounds(pairs: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(samples)
    pcm = rng.integers(-20000, 20001, (pairs, samples, 2)).astype(np.int16)
    pcm[1::4] //= 500  # quiet
    pcm[2::4, :, 1] = 0
    pcm[3::4] = np.where(pcm[3::4] > 0, 32767, -32768)
    return pcm, rng.uniform(0.2, 3, (pairs, 2)).astype(np.float32)


def _shape(pairs: int, samples: int, kind: str) -> tuple[int, ...]:
    return pairs, 2, *((2,) if kind == "complex" else ()), 257, stft.columns(samples)


def _found(pcm: np.ndarray, gains: np.ndarray, kind: str) -> np.ndarray:
    """As the device has it, on a stream of its own, between two pairs that stay as they were."""
    from dataio.stream.kernels import stft_cuda

    room = torch.full((len(pcm) + 2, *_shape(*pcm.shape[:2], kind)[1:]), torch.nan, device="cuda")
    given = torch.from_numpy(pcm).cuda(), torch.from_numpy(gains).cuda()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    stft_cuda.spectrogram(*given, room[1:-1], kind, stream.cuda_stream)
    stream.synchronize()
    assert room[[0, -1]].isnan().all() and not room[1:-1].isnan().any()
    return room[1:-1].cpu().numpy()


def _expected(pcm: np.ndarray, gains: np.ndarray, kind: str) -> np.ndarray:
    out = np.empty(_shape(*pcm.shape[:2], kind), np.float32)
    for i in range(len(pcm)):
        stft.spectrogram(pcm[i], gains[i], out[i], kind)
    return out


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("pairs", "samples"), [(8, 96_000), (5, 257), (5, 258), (4, 511), (6, 2399), (6, 2400), (9, 12_345), (1, 5_000)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_the_cpus(kind, pairs, samples):
    pcm, gains = _sounds(pairs, samples)
    found, expected = _found(pcm, gains, kind), _expected(pcm, gains, kind)
    turns = _expected(pcm, gains, "complex").astype(np.float64)
    power = (turns**2).sum(2)
    # a bin that nearly cancels keeps the rounding of its neighbours
    slack = 2e-6 * np.sqrt(power.mean(2, keepdims=True)) / np.sqrt(np.maximum(power, 1e-10))
    if kind == "log":
        assert (np.abs(found - expected) < 1e-5 + 2 * np.where(power > 0.5e-5, slack, 1e-7)).all()
    elif kind == "ipd":
        clear = (power > 4e-10).all(1) & (slack < 1e-3).all(1)
        assert np.abs(found - expected)[np.stack([clear, clear], 1)].max(initial=0) < 5e-3
        silent = (power == 0).any(1)
        assert (found[:, 0][silent] == 1).all() and (found[:, 1][silent] == 0).all()
    else:
        for a, b in zip(found.reshape(2 * pairs, -1), expected.reshape(2 * pairs, -1), strict=True):  # each ear by itself
            assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b)


@pytest.mark.gpu
def test_magnitudes_are_those_of_float64():
    pcm, gains = _sounds(4, 96_000)
    x = torch.from_numpy(pcm.astype(np.float64) / 32768 * gains[:, None].astype(np.float64)).permute(0, 2, 1).flatten(0, 1)
    window = torch.hann_window(512, dtype=torch.float64)
    exact = torch.stft(x, 512, 160, window=window, center=True, pad_mode="reflect", return_complex=True).abs().numpy()
    found = _found(pcm, gains, "magnitude").reshape(exact.shape)
    for a, b in zip(found, exact, strict=True):
        assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b)


@pytest.mark.gpu
def test_a_batch_of_more_than_eight_gigabytes():
    """Offsets beyond 32 bits: the last pair is as good as the first."""
    from dataio.stream.kernels import stft_cuda

    pairs, samples = 7000, 96_000
    sound = torch.randint(-20000, 20001, (1, samples, 2), dtype=torch.int16, device="cuda")
    pcm, gains = sound.repeat(pairs, 1, 1), torch.ones((pairs, 2), device="cuda")
    out = torch.empty(_shape(pairs, samples, "log"), device="cuda")
    torch.cuda.synchronize()
    stft_cuda.spectrogram(pcm, gains, out, "log")
    torch.cuda.synchronize()
    assert out.numel() > 2**31 and torch.equal(out[0], out[-1]) and torch.equal(out[0], out[pairs // 2])
    expected = _expected(sound.cpu().numpy(), np.ones((1, 2), np.float32), "magnitude")[0]
    assert (out[-1].cpu() - torch.from_numpy(2 * np.log(np.maximum(expected, 1e-5**0.5)))).abs().max() < 5e-3
