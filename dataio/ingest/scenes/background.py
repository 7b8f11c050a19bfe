"""The static background: a cloudy texture over the sphere that looks the same in distribution at every azimuth."""

import math

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

ROUGHNESS = 1.4
"""Amplitude of the texture falls with this power of its angular frequency."""

CONTRAST = 20.0
TINT = 5.0
"""Standard deviations of its brightness and of its two colour differences, in grey levels."""


def background(size: tuple[int, int], seed: int) -> np.ndarray:
    """A picture (height, width, 3) uint8 without a seam at ±180°: filtered white noise, different for every seed.

    The filter works on a circle in azimuth, so every column has the same distribution, and so has the mirror image.
    """
    rng = Generator(PCG64(SeedSequence(seed)))
    height, width = size
    layers = _clouds(rng, height, width)
    base = rng.uniform(95.0, 150.0)
    warm, green = rng.uniform(-14.0, 14.0, 2)
    light = base + CONTRAST * layers[0]
    red_blue, green_rest = warm + TINT * layers[1], green + TINT * layers[2]
    rgb = np.stack([light + red_blue, light + green_rest, light - red_blue], -1)
    picture: np.ndarray = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return picture


def _clouds(rng: Generator, height: int, width: int) -> np.ndarray:
    """Three independent layers (3, height, width) float32 of mean zero and variance about one."""
    # twice the height: the circle that the filter closes in elevation then joins below the picture, not pole to pole
    noise = rng.standard_normal((3, 2 * height, width), np.float32)
    spectrum = np.fft.rfft2(noise)
    # in cycles per turn on both axes: a row spans 360°, a column of the doubled picture too
    across, down = np.arange(width // 2 + 1), np.fft.fftfreq(2 * height, 1.0 / (2 * height))
    frequency = np.hypot(across[None, :], down[:, None])
    amplitude = np.where(frequency < 1.0, 0.0, np.maximum(frequency, 3.0) ** -ROUGHNESS).astype(np.float32)
    circles = np.fft.ifft(spectrum * amplitude, axis=1)[:, :height]
    rows = np.fft.irfft(circles * _finest(height, width), width, axis=2)
    layers: np.ndarray = (rows / np.sqrt(np.mean(rows**2, (1, 2), keepdims=True))).astype(np.float32)
    return layers


def _finest(height: int, width: int) -> np.ndarray:
    """Weights (height, width // 2 + 1) float32 that take from each row the detail that its circle on the sphere cannot hold."""
    elevation = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    finest = np.maximum(1.0, np.cos(elevation) * width / 4)
    return np.exp(-((np.arange(width // 2 + 1)[None, :] / finest[:, None]) ** 2)).astype(np.float32)
