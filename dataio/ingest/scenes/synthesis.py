"""Signals from voices: a compiled oscillator with resonances, and noise that is a pure function of seed and sample number."""

import math

import numpy as np
from numba import njit

from dataio.ingest.scenes.acoustics import SHADOW_HERTZ
from dataio.ingest.scenes.voices import RESONANCES, TABLE, Voice

PEAK = 3.0
"""A voice's signal stays within ± PEAK; its root mean square is about one."""

_CONTROL = 64  # samples between which the pitch is constant
_U, _V, _W = np.uint32(0x7FEB352D), np.uint32(0x846CA68B), np.uint32(0x9E3779B9)


@njit(cache=True, nogil=True, inline="always")
def white(seed: np.uint32, sample: int) -> np.float32:
    """White noise, uniform and of variance one: a hash (lowbias32, by C. Wellons) of a seed and a sample number."""
    x = np.uint32(np.uint32(sample) * _W)
    # the seed comes after a step of the hash: added to the sample number, it would only shift the noise in time
    x = np.uint32((x ^ (x >> np.uint32(16))) + seed)
    x = np.uint32((x ^ (x >> np.uint32(16))) * _U)
    x = np.uint32((x ^ (x >> np.uint32(15))) * _V)
    x = np.uint32(x ^ (x >> np.uint32(16)))
    return np.float32(np.int32(x)) * np.float32(math.sqrt(3.0) / 2.0**31)


class Speaker:
    """A voice that is speaking: call `speak` for one stretch of samples after another."""

    def __init__(self, voice: Voice, rate: int, start: int) -> None:
        """`start` is the number of the first sample that it will speak (it may be negative)."""
        self.voice = voice
        self.rate = rate
        self.sample = start
        self._state = np.zeros(2 + 2 * RESONANCES, np.float32)  # phase of the wave, low pass, resonances
        self._phase = np.zeros(1)

    def speak(self, low: np.ndarray, high: np.ndarray) -> None:
        """Write the next samples, split at the shadow's corner into a low and a high part of equal length (float32)."""
        voice = self.voice
        settings = np.array([voice.pitch, *voice.wobble, 1.0 - math.exp(-2.0 * math.pi * SHADOW_HERTZ / self.rate)])
        period = round(voice.strike_period * self.rate)
        seed = np.uint32(voice.seed)
        tables = (voice.tone, voice.swing, voice.resonances)
        _speak(tables, settings, period, seed, self.sample, self.rate, self._phase, self._state, low, high)
        self.sample += len(low)


@njit(cache=True, nogil=True, fastmath=True)
def _speak(tables, settings, strike_period, seed, start, rate, phase, state, low, high):
    tone, swing, resonances = tables
    pitch, depth, slow, fast, corner = settings
    smooth = np.float32(corner)
    limit = np.float32(1.0 / PEAK**2)
    one, none = np.float32(1.0), np.float32(0.0)
    turn, under = phase[0], state[0]
    b0, p0, q0, n0, s0 = resonances[0]
    b1, p1, q1, n1, s1 = resonances[1]
    b2, p2, q2, n2, s2 = resonances[2]
    b3, p3, q3, n3, s3 = resonances[3]
    u0, v0, u1, v1, u2, v2, u3, v3 = state[2], state[3], state[4], state[5], state[6], state[7], state[8], state[9]
    step, countdown = 0.0, -start % strike_period
    for i in range(low.shape[0]):
        n = start + i
        if i % _CONTROL == 0:
            t = n / rate
            wobble = math.sin(2.0 * math.pi * slow * t) + 0.5 * math.sin(2.0 * math.pi * fast * t)
            step = pitch / rate * TABLE * (1.0 + depth * wobble)
        turn += step
        if turn >= TABLE:
            turn -= TABLE
        k = int(turn)
        noise = white(seed, n) * swing[k]
        strike = none
        if countdown == 0:
            strike, countdown = one, strike_period
        countdown -= 1
        # transposed direct form: each resonance waits for its own last value only, and the four run side by side
        x0, x1 = b0 * (n0 * noise + s0 * strike), b1 * (n1 * noise + s1 * strike)
        x2, x3 = b2 * (n2 * noise + s2 * strike), b3 * (n3 * noise + s3 * strike)
        y0, y1, y2, y3 = x0 + u0, x1 + u1, x2 + u2, x3 + u3
        u0, u1, u2, u3 = v0 - p0 * y0, v1 - p1 * y1, v2 - p2 * y2, v3 - p3 * y3
        v0, v1, v2, v3 = -x0 - q0 * y0, -x1 - q1 * y1, -x2 - q2 * y2, -x3 - q3 * y3
        s = tone[k] + (y0 + y1) + (y2 + y3)
        s /= math.sqrt(one + limit * s * s)  # never beyond ± PEAK
        under += smooth * (s - under)
        low[i] = under
        high[i] = s - under
    phase[0], state[0] = turn, under
    state[2], state[3], state[4], state[5], state[6], state[7], state[8], state[9] = u0, v0, u1, v1, u2, v2, u3, v3
