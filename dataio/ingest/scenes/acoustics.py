"""From a source to the eight ears: propagation delay, distance, head shadow.

The shadow is the structural model of Brown and Duda ("A structural model for binaural sound synthesis", IEEE Transactions
on Speech and Audio Processing 6(5), 1998): a shelf with the gain (1 + jαω/2ω₀) / (1 + jω/2ω₀), where ω₀ is the speed of
sound over the radius of the head and α depends on the angle between the ear's axis and the source. Since that is
L + α·(1 − L) with the fixed low pass L = 1 / (1 + jω/2ω₀), each source is split once into a low and a high part, and every
ear only weighs the two.
"""

import math

import numpy as np
from numba import njit

from dataio.ingest.scenes.motion import direction, locate
from dataio.ingest.scenes.rig import CUBE

SPEED_OF_SOUND = 343.0  # metres per second
SHADOW_HERTZ = 2.0 * SPEED_OF_SOUND / (CUBE / 2.0) / (2.0 * math.pi)
"""Corner of the shadow's low pass: 2ω₀ / 2π, about 1.2 kHz."""

DARKEST = 0.1  # α at the darkest angle: high frequencies 20 dB below low ones
DARKEST_ANGLE = math.radians(150.0)  # beyond it sound creeps round both sides of the head and grows again
BRIGHTEST = 2.0  # α on the axis: pressure doubles at a hard surface

STEP = 64
"""Samples between the points at which positions are computed; gain and delay run straight in between."""

OVERSHOOT = 1.6
"""At least the sum of the magnitudes of the interpolation's weights, for sources that come nearer by less than 2.5 m/s."""


@njit(cache=True, nogil=True)
def shadow(cosine: float) -> float:
    """Gain α of high frequencies at an ear, for the cosine of the angle between its axis and the source."""
    angle = math.acos(min(1.0, max(-1.0, cosine)))
    return (BRIGHTEST + DARKEST) / 2.0 + (BRIGHTEST - DARKEST) / 2.0 * math.cos(angle / DARKEST_ANGLE * math.pi)


def loudest(peak: float, nearest: float) -> float:
    """A bound of the amplitude at any ear of a source whose signal stays within ±`peak` at 1 m, from `nearest` metres on."""
    # L + α(1 − L) applied to a signal within ±1 stays within ±(α + |1 − α|), for a low pass whose weights sum to one
    return peak * (BRIGHTEST + abs(1.0 - BRIGHTEST)) * OVERSHOOT / (nearest - CUBE)


def longest_delay(farthest: float, rate: int) -> int:
    """Samples of its past that a source must keep to be heard from `farthest` metres."""
    return math.ceil((farthest + CUBE) / SPEED_OF_SOUND * rate) + STEP


@njit(cache=True, nogil=True, fastmath=True)
def propagate(
    low: np.ndarray,
    high: np.ndarray,
    start: int,
    rate: float,
    row: np.ndarray,
    ears: np.ndarray,
    axes: np.ndarray,
    loudness: float,
    out: np.ndarray,
) -> None:
    """Add one source, as each ear hears it, to `out`.

    Args:
        low, high: (past + n,) float32, the two parts of the source's signal at 1 m; the last n samples are numbers start to
            start + n − 1, those before are as many as `longest_delay` says.
        start: number of the first sample to write; sample k is at k / rate seconds.
        row: `Path.row()` of the source.
        ears, axes: (8, 3) float64, `rig.ear_positions()` and `rig.ear_axes()`.
        loudness: amplitude of the source, 1 being that of its voice.
        out: (8, n) float32, added to. n must be a multiple of STEP.
    """
    count = out.shape[1]
    past = low.shape[0] - count
    delay, gain_low, gain_high = np.empty((2, 8)), np.empty((2, 8)), np.empty((2, 8))
    mixed = np.empty(STEP + 3, np.float32)
    _weigh(row, start / rate, rate, ears, axes, loudness, delay[0], gain_low[0], gain_high[0])
    for first in range(0, count, STEP):
        old = (first // STEP) % 2
        new = 1 - old
        _weigh(row, (start + first + STEP) / rate, rate, ears, axes, loudness, delay[new], gain_low[new], gain_high[new])
        for ear in range(8):
            # the whole number of samples is fixed for the step: the interpolation's loads are then contiguous
            whole = math.floor((delay[0, ear] + delay[1, ear]) * 0.5) + 1
            origin = past + first - whole - 1
            a, b = np.float32(gain_low[old, ear]), np.float32(gain_high[old, ear])
            da = np.float32((gain_low[new, ear] - gain_low[old, ear]) / STEP)
            db = np.float32((gain_high[new, ear] - gain_high[old, ear]) / STEP)
            lows, highs = low[origin : origin + STEP + 3], high[origin : origin + STEP + 3]
            for i in range(STEP + 3):
                k = np.float32(i - 1)
                mixed[i] = (a + k * da) * lows[i] + (b + k * db) * highs[i]
            slope = np.float32((delay[old, ear] - delay[new, ear]) / STEP)
            _interpolate(mixed, np.float32(whole - delay[old, ear]), slope, out[ear, first : first + STEP])


@njit(cache=True, nogil=True, fastmath=True)
def _weigh(row, seconds, rate, ears, axes, loudness, delay, gain_low, gain_high):
    """Delay in samples and gains of the low and the high part at the eight ears at a time."""
    azimuth, elevation, distance = locate(row, seconds)
    x, y, z = direction(azimuth, elevation)
    for ear in range(8):
        dx, dy, dz = x * distance - ears[ear, 0], y * distance - ears[ear, 1], z * distance - ears[ear, 2]
        metres = math.sqrt(dx * dx + dy * dy + dz * dz)
        alpha = shadow((dx * axes[ear, 0] + dy * axes[ear, 1] + dz * axes[ear, 2]) / metres)
        delay[ear] = metres / SPEED_OF_SOUND * rate
        gain_low[ear] = loudness / metres
        gain_high[ear] = loudness * alpha / metres


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _interpolate(signal, fraction, slope, out):
    """Add to out[i] the cubic (Lagrange) through signal[i … i + 3] at 1 + fraction + i·slope from its first point."""
    one, two, half, sixth = np.float32(1.0), np.float32(2.0), np.float32(0.5), np.float32(1.0 / 6.0)
    for i in range(STEP):
        m = fraction + slope * np.float32(i)
        below, above, beyond = m + one, m - one, m - two
        out[i] += (m * above * sixth) * (below * signal[i + 3] - beyond * signal[i]) + (below * beyond * half) * (
            above * signal[i + 1] - m * signal[i + 2]
        )
