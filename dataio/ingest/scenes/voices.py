"""What each class sounds like: the numbers that `synthesis.speak` turns into a signal.

A voice is a wave table read at a wobbling pitch, and a bank of resonances that are fed with noise (tyres, squeal, exhaust),
whose strength may follow the phase of the wave (rasp), or struck like bells. Every part is scaled to a root mean square of
one before its gain, so that the classes are about equally loud. All have most of their energy above 1 kHz, where a head
casts a shadow, and each in its own band: car 1 – 4 kHz, wide; tram 2 – 7 kHz, narrow lines; motorcycle 4 – 14 kHz, in pulses.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

TABLE = 4096  # entries of a wave table
RESONANCES = 4


@dataclass(frozen=True)
class Voice:
    """One object's voice.

    Attributes:
        tone: (TABLE,) float32, one period of the wave, gain included.
        swing: (TABLE,) float32, strength of the noise over that period.
        resonances: (RESONANCES, 5) float32: b₀, a₁, a₂ of y = b₀(x − x″) − a₁y′ − a₂y″, gain of noise, gain of a strike.
        pitch: fundamental in hertz.
        wobble: relative depth of its wobble, and the rates of its two parts in hertz.
        strike_period: seconds between strikes.
        seed: of the noise.
    """

    tone: np.ndarray
    swing: np.ndarray
    resonances: np.ndarray
    pitch: float
    wobble: tuple[float, float, float]
    strike_period: float
    seed: int


def draw_voice(class_name: str, seed: int, rate: int) -> Voice:
    """The voice of an object of this class ("car", "tram" or "motorcycle") for signals of `rate` samples a second.

    Raises:
        ValueError: the class has no voice.
    """
    rng = Generator(PCG64(SeedSequence(seed)))
    colour = rng.uniform(0.9, 1.1)  # scales every frequency of the voice a little
    wobble = (rng.uniform(0.01, 0.04), rng.uniform(0.3, 0.9), rng.uniform(2.0, 5.0))
    strike_period = rng.uniform(0.45, 0.8)
    flat = np.ones(TABLE)
    if class_name == "car":
        pitch = colour * rng.uniform(32.0, 48.0)
        tone = 0.6 * _wave(rng, [k**-0.5 for k in range(1, 49)])
        bands = [(1200.0, 0.8, 0.5, 0.0), (2100.0, 0.8, 0.5, 0.0), (3300.0, 0.8, 0.35, 0.0), (600.0, 1.0, 0.15, 0.0)]
        swing = flat
    elif class_name == "tram":
        pitch = colour * rng.uniform(90.0, 120.0)
        inverter = {1: 1.0, 2: 0.8, 3: 0.5, 6: 0.5, 17: 0.6, 18: 0.8, 19: 0.6}
        tone = 0.5 * _wave(rng, [inverter.get(k, 0.0) for k in range(1, 20)])
        bands = [(4700.0, 30.0, 0.5, 0.0), (6300.0, 30.0, 0.4, 0.0), (2600.0, 1500.0, 0.0, 1.4), (3900.0, 2000.0, 0.0, 1.1)]
        swing = flat
    elif class_name == "motorcycle":
        pitch = colour * rng.uniform(75.0, 130.0)
        hill = [math.exp(-(((math.log2(k * pitch / 6000.0)) / 1.3) ** 2)) for k in range(1, int(15000.0 / pitch) + 1)]
        tone = 0.55 * _wave(rng, hill)
        bands = [(5000.0, 1.5, 0.3, 0.0), (8000.0, 1.5, 0.5, 0.0), (11500.0, 1.5, 0.45, 0.0), (1500.0, 1.5, 0.15, 0.0)]
        swing = np.exp(3.0 * (np.cos(2.0 * math.pi * np.arange(TABLE) / TABLE) - 1.0))
    else:
        raise ValueError(f"class {class_name!r} has no voice; those that have one: car, tram, motorcycle")
    swing = swing / math.sqrt(np.mean(swing**2))
    resonances = np.array([_resonance(colour * hertz, q, noise, strike, rate) for hertz, q, noise, strike in bands], np.float32)
    return Voice(tone.astype(np.float32), swing.astype(np.float32), resonances, pitch, wobble, strike_period, seed)


def _wave(rng: Generator, amplitudes: list[float]) -> np.ndarray:
    """One period with these amplitudes of its harmonics and random phases: (TABLE,), root mean square one."""
    spectrum = np.zeros(TABLE // 2 + 1, complex)
    spectrum[1 : len(amplitudes) + 1] = np.array(amplitudes) * np.exp(2j * math.pi * rng.random(len(amplitudes)))
    wave = np.fft.irfft(spectrum, TABLE)
    return wave / math.sqrt(np.mean(wave**2))


def _resonance(hertz: float, q: float, noise: float, strike: float, rate: int) -> tuple[float, float, float, float, float]:
    """A band pass around `hertz` that answers white noise of variance one with an RMS of `noise`, and a strike with a peak of
    `strike`: a row of `Voice.resonances`."""
    angle = 2.0 * math.pi * hertz / rate
    width = math.sin(angle) / (2.0 * q)
    # a band pass of peak gain one is half the difference of its input and an all pass that begins with (1 − width) / (1 + width);
    # so it lets width / (1 + width) of the power of white noise through
    b = math.sqrt(width / (1.0 + width))
    return b, -2.0 * math.cos(angle) / (1.0 + width), (1.0 - width) / (1.0 + width), noise, strike / (2.0 * b)
