"""What is stored of every bin of a binaural spectrogram, as vector code: log power, magnitude, complex values or phase difference.

Each kind is a function of a left and a right bin to the planes of its output; `writer` makes the code that unpacks two bins of 16
frames from the packed transforms of both ears (fft.py) and stores those planes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from dataio.stream.kernels.fft import SCRATCH, VALUES, Complex, read, unpack
from dataio.stream.kernels.lanes import LANES, Lanes, Memory, vector_code

BINS = VALUES + 1
KINDS = ("log", "magnitude", "complex", "ipd")
FLOOR = 1e-5  # least power whose logarithm is taken
IPD_FLOOR = 1e-10  # least power that has a phase: below the rounding of 16-bit PCM, above that of float32
AHEAD = 2 * LANES  # a row's next cache line is asked for a block early; stores waiting for a cold batch cost a quarter of all time
# log(1 + f) / f on [√½ - 1, √2 - 1], least maximum error: 2e-7 in the logarithm
LOGARITHM = (
    *(1.0000032477394918, -0.5000196515944575, 0.33303297930673004, -0.24881338870245323),
    *(0.20604677758884674, -0.18901985966270923, 0.11827470719599528),
)


def logarithm(power: Lanes) -> Lanes:
    """Natural logarithm of positive normal values."""
    exponent, mantissa = power.exponent_mantissa()
    fraction = mantissa - 1.0
    polynomial = fraction.times_plus(LOGARITHM[-1], LOGARITHM[-2])
    for coefficient in LOGARITHM[-3::-1]:
        polynomial = polynomial.times_plus(fraction, coefficient)
    return polynomial.times_plus(fraction, exponent * float(np.log(2)))


def writer(planes: Callable[[Complex, Complex], tuple[Lanes, ...]]) -> Any:
    """Vector code that writes bins k and 256 - k of 16 frames: the planes made of a left and a right bin, `plane` floats apart."""

    def code(
        z: Memory,
        at: ir.Value,
        mirror: ir.Value,
        root: Memory,
        k: ir.Value,
        out: Memory,
        low: ir.Value,
        high: ir.Value,
        plane: ir.Value,
    ) -> None:
        turn = Complex(root.at(k).repeated(0), root.at(k).repeated(1))
        value, opposite = z.at(at), z.at(mirror)
        left, right = (unpack(read(value, ear * SCRATCH), read(opposite, ear * SCRATCH), turn) for ear in range(2))
        for row, pair in zip((out.at(low), out.at(high)), zip(left, right, strict=True), strict=True):
            target = row
            for lanes in planes(*pair):
                target.expect_write(AHEAD)
                target[0] = lanes
                target = target.at(plane)

    return vector_code(code)


def _log(left: Complex, right: Complex) -> tuple[Lanes, ...]:
    return tuple(logarithm(power.above(FLOOR, power, FLOOR)) for power in (left.power(), right.power()))


def _magnitude(left: Complex, right: Complex) -> tuple[Lanes, ...]:
    return left.power().sqrt(), right.power().sqrt()


def _complex(left: Complex, right: Complex) -> tuple[Lanes, ...]:
    return left.re, left.im, right.re, right.im


def _ipd(left: Complex, right: Complex) -> tuple[Lanes, ...]:
    cross, powers = left * right.conjugate(), (left.power(), right.power())
    weaker, norm = powers[0].above(IPD_FLOOR, powers[1], powers[0]), (powers[0] * powers[1]).sqrt()
    return weaker.above(IPD_FLOOR, cross.re / norm, 1.0), weaker.above(IPD_FLOOR, cross.im / norm, 0.0)


write_log, write_magnitude, write_complex, write_ipd = writer(_log), writer(_magnitude), writer(_complex), writer(_ipd)
