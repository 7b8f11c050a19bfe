"""What an ear heard: its spectrum and its waveform."""

import numpy as np
from matplotlib import colormaps

from dataio.audit.inspect.figures.photos import jpeg

N_FFT, HOP = 512, 160  # samples, as the loader's: 5.3 and 1.7 ms at 96 kHz
_COLUMNS, _ROWS = 480, 128  # pixels of a spectrogram
_RANGE = 80.0  # dB shown of a spectrogram


def spectrum(samples: np.ndarray) -> np.ndarray:
    """Power in dB of one ear, a full-scale sine being 0: (≤ 128, ≤ 480), low frequencies last.

    Args:
        samples: (n,) of full scale. Periodic Hann window 512, hop 160, centred; averaged over cells of time and frequency.
    """
    padded = np.pad(samples.astype(np.float32), N_FFT // 2)
    count = 1 + max(0, len(padded) - N_FFT) // HOP
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)
    power = np.empty((N_FFT // 2, count), np.float32)
    for at in range(0, count, 1024):  # a bounded piece at a time, however long the sound
        starts = HOP * np.arange(at, min(at + 1024, count))
        lines = np.fft.rfft(padded[starts[:, None] + np.arange(N_FFT)] * window)[:, 1:]
        power[:, at : at + len(starts)] = (np.abs(lines) ** 2).T / (N_FFT / 4) ** 2
    power = power.reshape(_ROWS, -1, count).mean(1)
    edges = np.unique(np.arange(_COLUMNS) * count // _COLUMNS)
    widths = np.diff(np.append(edges, count))
    return 10 * np.log10(np.add.reduceat(power, edges, 1) / widths + 1e-15)[::-1]


def spectrum_picture(decibels: np.ndarray, top: float) -> bytes:
    """A spectrum as a JPEG, from `top` dB down to 80 dB below."""
    level = np.clip((decibels - top) / _RANGE + 1, 0, 1)
    return jpeg((colormaps["magma"](level)[..., :3] * 255).round().astype(np.uint8), _COLUMNS, 85)


def envelope(samples: np.ndarray, peak: float, width: int = _COLUMNS, height: int = 48) -> str:
    """The waveform as the `d` of an SVG path: highest and lowest sample of each column, `peak` reaching the edges."""
    columns = min(width, len(samples))
    edges = np.arange(columns) * len(samples) // columns
    half = height / 2
    scale = (half - 1) / peak if peak > 0 else 0.0
    high = half - np.maximum.reduceat(samples, edges) * scale - 0.3
    low = half - np.minimum.reduceat(samples, edges) * scale + 0.3
    x = (np.arange(columns) + 0.5) * width / columns
    there = [f"{a:.1f},{b:.1f}" for a, b in zip(x, high, strict=True)]
    back = [f"{a:.1f},{b:.1f}" for a, b in zip(x[::-1], low[::-1], strict=True)]
    return "M" + "L".join(there + back) + "Z"
