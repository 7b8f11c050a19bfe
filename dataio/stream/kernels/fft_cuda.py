"""Real Fourier transform of 512 points on the GPU: the two passes of fft.py, sixteen frames of two ears in the lanes of warps.

A lane is one frame of one ear, so nothing is shuffled and no twiddle differs within a warp. Each of eight warps takes two of the 16
transforms of either pass, in registers: rows w and w + 8 in the first, columns w and 16 - w in the second (warp 0: columns 0 and
8), which hold each other's mirror images, so that bins k and 256 - k are unpacked where they are. Between the passes, real parts
and then imaginary parts go through 32 KiB of shared memory: a quarter of what both parts of both ears would need with a copy of
the samples beside them, and little enough for three blocks, or two and a large first-level cache.
"""

from typing import Any

from dataio.stream.kernels.fft import RADIX, VALUES, Complex, dft16, unpack

LANE_COUNT = 32
FRAMES = 16
"""Columns of a block; its 32 lanes are these frames of the left ear, then of the right."""

WARPS = 8
EXCHANGE = VALUES * LANE_COUNT
"""Floats of one part, real or imaginary, of every value of every lane: [column, row, lane]."""

HOP_PAIRS = 80
PITCH = HOP_PAIRS + 1
"""Pairs of samples from one hop to the next in shared memory: odd, so that sixteen frames read from different banks."""


def row(samples: Any, window: Any, twiddles: Any) -> list[Complex]:
    """First pass of a row j: packed values j, j + 16, … windowed, transformed and twiddled. All arguments start at row j."""
    packed = []
    for m in range(RADIX):
        first, second = samples.two(2 * (m // 5 * PITCH + m % 5 * RADIX))  # pair j + 16m is pair j + 16 (m mod 5) of hop m // 5
        low, high = window.two(2 * RADIX * m)
        packed.append(Complex(first * low, second * high))
    return [value * Complex(*twiddles.two(2 * k)) if k else value for k, value in enumerate(dft16(packed))]


def exchange(machine: Any, rows: list[list[Complex]], written: Any, read: list[Any]) -> list[list[Complex]]:
    """The columns that a thread works on next, once every thread has given its rows.

    rows: two, w and w + 8. written: shared memory from row w and the lane on. read: likewise from each column's row 0 on.
    """
    parts: dict[str, list[list[Any]]] = {}
    for part in ("re", "im"):
        machine.barrier()  # what lay here has been read
        for i, values in enumerate(rows):
            for k, value in enumerate(values):
                written[(RADIX * k + WARPS * i) * LANE_COUNT] = getattr(value, part)
        machine.barrier()
        parts[part] = [[column[j * LANE_COUNT] for j in range(RADIX)] for column in read]
    return [[Complex(re, im) for re, im in zip(*column, strict=True)] for column in zip(parts["re"], parts["im"], strict=True)]


def paired(first: list[Complex], second: list[Complex], roots: Any) -> Any:
    """Bins c + 16i and their mirrors 256 - c - 16i, times two, of columns c and 16 - c; roots start at bin c."""
    for i in range(RADIX):
        yield unpack(first[i], second[RADIX - 1 - i], Complex(*roots.two(2 * RADIX * i)))


def zeroth(column: list[Complex], roots: Any) -> Any:
    """Bins 16i and 256 - 16i, times two, of column 0, its own mirror image. Bin 128, the last, is its own mirror."""
    for i in range(RADIX // 2 + 1):
        yield unpack(column[i], column[-i % RADIX], Complex(*roots.two(2 * RADIX * i)))


def eighth(column: list[Complex], roots: Any) -> Any:
    """Bins 8 + 16i and 248 - 16i, times two, of column 8, its own mirror image; roots start at bin 0."""
    for i in range(RADIX // 2):
        yield unpack(column[i], column[RADIX - 1 - i], Complex(*roots.two(2 * RADIX * i + RADIX)))


def columns(first: list[Complex], second: list[Complex]) -> tuple[list[Complex], list[Complex]]:
    """Second pass: entry i becomes value c + 16i of the packed transform."""
    return dft16(first), dft16(second)
