"""Real Fourier transform of 512 points, of 16 frames at once, in two passes over a scratch of 32 KiB per ear.

Frames lie in the lanes, so nothing is ever shuffled. Neighbouring samples are packed as x[2n] + i·x[2n+1]; the complex transform
of these 256 values is 16 × 16, two passes of radix 16; `unpack` takes two of its values apart into two of the 257 bins. One frame
never touches another, nor one ear the other: silence stays exactly silent beside noise. Textbook: Sorensen et al., "Real-valued
fast Fourier transform algorithms", 1987.

Adds and multiplies are not fused: on Zen 4 they have ports of their own, and fused code was never faster and up to a fifth slower.
"""

import cmath
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from dataio.stream.kernels.lanes import LANES, Lanes, Memory, vector_code

POINTS = 512
VALUES = POINTS // 2  # complex values of the packed transform
RADIX = 16
VALUE = 2 * LANES  # floats of one complex value: real parts of 16 frames, then imaginary parts
COLUMN = RADIX * VALUE  # floats of one column of the scratch
SCRATCH = RADIX * COLUMN  # floats


def _interleaved(values: Any) -> Any:
    return np.stack([values.real, values.imag], -1).astype(np.float32).ravel()


TWIDDLES = _interleaved(np.exp(-2j * np.pi * np.outer(np.arange(RADIX), np.arange(RADIX)) / VALUES))  # [j, k], between the passes
ROOTS = _interleaved(np.exp(-2j * np.pi * np.arange(VALUES) / POINTS))  # [bin], to unpack


@dataclass(frozen=True)
class Complex:
    """A complex value per lane."""

    re: Lanes
    im: Lanes

    def __add__(self, other: "Complex") -> "Complex":
        return Complex(self.re + other.re, self.im + other.im)

    def __sub__(self, other: "Complex") -> "Complex":
        return Complex(self.re - other.re, self.im - other.im)

    def __mul__(self, other: "Complex") -> "Complex":
        return Complex(self.re * other.re - self.im * other.im, self.im * other.re + self.re * other.im)

    def conjugate(self) -> "Complex":
        """Mirrored at the real axis."""
        return Complex(self.re, -self.im)

    def power(self) -> Lanes:
        """Squared magnitude."""
        return self.re * self.re + self.im * self.im

    def turned(self, sixteenths: int) -> "Complex":
        """Times exp(-2πi · sixteenths / 16), with as few operations as the angle allows."""
        re, im, half = self.re, self.im, 0.5**0.5
        if sixteenths == 0:
            return self
        if sixteenths == 2:
            return Complex((re + im) * half, (im - re) * half)
        if sixteenths == 4:
            return Complex(im, -re)
        if sixteenths == 6:
            return Complex((im - re) * half, (re + im) * -half)
        root = cmath.exp(-2j * cmath.pi * sixteenths / 16)
        return Complex(re * root.real - im * root.imag, im * root.real + re * root.imag)


def dft4(a: Complex, b: Complex, c: Complex, d: Complex) -> list[Complex]:
    """Discrete Fourier transform of four values."""
    even, odd, rest, turned = a + c, b + d, a - c, (b - d).turned(4)
    return [even + odd, rest + turned, even - odd, rest - turned]


def dft16(x: list[Complex]) -> list[Complex]:
    """Discrete Fourier transform of 16 values, as 4 × 4."""
    rows = [dft4(*x[q::4]) for q in range(4)]
    columns = [dft4(*(rows[q][k].turned(q * k) for q in range(4))) for k in range(4)]
    return [columns[k % 4][k // 4] for k in range(RADIX)]


def read(memory: Memory, offset: int) -> Complex:
    """The complex value of each lane, stored as VALUE floats."""
    return Complex(memory[offset], memory[offset + LANES])


def write(memory: Memory, offset: int, value: Complex) -> None:
    """Store the complex value of each lane as VALUE floats."""
    memory[offset], memory[offset + LANES] = value.re, value.im


def first_pass(x: list[Complex], twiddles: Memory, scratch: Memory) -> None:
    """Transform packed values j, j + 16, …; entry k, times its twiddle, goes to column k. Twiddles and scratch start at row j."""
    for k, value in enumerate(dft16(x)):
        write(scratch, k * COLUMN, value * Complex(twiddles.repeated(2 * k), twiddles.repeated(2 * k + 1)) if k else value)


@vector_code
def second_pass(scratch: Memory, column: ir.Value) -> None:
    """Transform one column in place: its entry k2 becomes value k1 + 16 · k2 of the packed transform."""
    scratch = scratch.at(column)
    for k, value in enumerate(dft16([read(scratch, j * VALUE) for j in range(RADIX)])):
        write(scratch, k * VALUE, value)


def unpack(value: Complex, mirror: Complex, root: Complex) -> tuple[Complex, Complex]:
    """Bins k and 256 - k, times two, from values k and -k of the packed transform and exp(-2πi·k/512)."""
    even = value + mirror.conjugate()
    odd = value - mirror.conjugate()
    turned = Complex(odd.im, -odd.re) * root
    return even + turned, (even - turned).conjugate()
