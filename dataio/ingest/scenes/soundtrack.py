"""The eight ears' sound of a scene, block by block, so that an hour takes no more memory than a second."""

import math
from collections.abc import Iterator

import numpy as np
from numba import njit

from dataio.format.clip import EARS, PAIRS
from dataio.ingest.scenes.acoustics import STEP, longest_delay, loudest, propagate
from dataio.ingest.scenes.rig import ear_axes, ear_positions
from dataio.ingest.scenes.synthesis import PEAK, Speaker, white
from dataio.ingest.scenes.voices import draw_voice
from dataio.ingest.scenes.world import CLASSES, FARTHEST, LOUDEST, NEAREST, SOURCES, Scene, Thing

BLOCK = 256 * STEP
"""Samples rendered at once: eight ears of them stay in the second-level cache."""

FULL_SCALE = 32767
NOISE = 6.0
"""Root mean square of each microphone's noise, in steps of the 16-bit output: some 30 dB below the sources, and dither enough."""

_APART = 0x51ED270B  # between the seeds of two ears' noises

GAIN = (FULL_SCALE - 1.0 - math.sqrt(3.0) * NOISE) / (SOURCES * LOUDEST * loudest(PEAK, NEAREST))
"""Steps of the output per unit of sound pressure: so small that no scene can clip."""


def soundtrack(scene: Scene, samples: int, rate: int) -> Iterator[np.ndarray]:
    """What the ears hear: blocks (4 pairs, n, 2 ears) int16, left ear first, `samples` in all; the next overwrites a block."""
    out = np.empty((len(EARS), BLOCK), np.float32)
    quantised = np.empty((len(PAIRS), BLOCK, 2), np.int16)
    for start, _ in _pressure(scene.things, samples, rate, out):
        _quantise(out, np.uint32(scene.noise_seed), start, np.float32(GAIN), quantised)
        yield quantised[:, : samples - start]


def pressure(things: tuple[Thing, ...], samples: int, rate: int) -> np.ndarray:
    """Sound pressure at the ears without noise: (8, samples) float32 in the order of `EARS`; 1 is a voice's level at 1 m."""
    out = np.empty((len(EARS), BLOCK), np.float32)
    return np.concatenate([block.copy() for _, block in _pressure(things, samples, rate, out)], 1)[:, :samples]


def _pressure(things: tuple[Thing, ...], samples: int, rate: int, out: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    sources = [_Source(thing, rate) for thing in things if thing.sounding]
    ears, axes = ear_positions(), ear_axes()
    for start in range(0, samples, BLOCK):
        out[:] = 0.0
        for source in sources:
            source.sound(start, ears, axes, out)
        yield start, out


class _Source:
    """A sounding thing with as much of its past as the slowest path to an ear needs."""

    def __init__(self, thing: Thing, rate: int) -> None:
        self.past = longest_delay(FARTHEST, rate)
        self.rate = rate
        self.row = thing.path.row()
        self.loudness = thing.loudness
        self.low, self.high = np.empty((2, self.past + BLOCK), np.float32)
        # it has been sounding before the recording began
        self.speaker = Speaker(draw_voice(CLASSES[thing.class_id], thing.voice_seed, rate), rate, -self.past)
        self.speaker.speak(self.low[BLOCK:], self.high[BLOCK:])

    def sound(self, start: int, ears: np.ndarray, axes: np.ndarray, out: np.ndarray) -> None:
        """Add the next block, which begins with sample `start`, to `out`."""
        for part in (self.low, self.high):
            part[: self.past] = part[BLOCK:].copy()
        self.speaker.speak(self.low[self.past :], self.high[self.past :])
        propagate(self.low, self.high, start, float(self.rate), self.row, ears, axes, self.loudness, out)


@njit(cache=True, nogil=True, fastmath=True)
def _quantise(pressure, seed, start, gain, out):
    """Add each microphone's noise and round to 16 bits: (8, n) float32 to (4, n, 2) int16."""
    level = np.float32(NOISE)
    for pair in range(4):
        left, right, both = pressure[2 * pair], pressure[2 * pair + 1], out[pair]
        seed_left = np.uint32(seed + (2 * pair + 1) * _APART)
        seed_right = np.uint32(seed + (2 * pair + 2) * _APART)
        for i in range(out.shape[1]):
            both[i, 0] = np.int16(np.rint(left[i] * gain + level * white(seed_left, start + i)))
            both[i, 1] = np.int16(np.rint(right[i] * gain + level * white(seed_right, start + i)))
