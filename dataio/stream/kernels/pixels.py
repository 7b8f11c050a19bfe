"""Rows of interleaved RGB, turned and dealt out to the planes of a batch; picture by picture, for rotate.py.

Reading is cheap, as a picture fits the second-level cache; what takes the time is writing three planes of float32 that do not. So
a row is made in the first-level cache, while the lines that it will go to are on their way there, and then copied. That comes
within a third of the speed at which the machine fills memory; stores that go past the caches were ten times slower.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit

from dataio.stream.kernels.lanes import FLOATS, INTS, LANES, Lanes, Memory, integers, vector_code

CHANNELS = 3
BLOCK = CHANNELS * LANES  # bytes of 16 pixels


def floats(build: ir.IRBuilder, levels: ir.Value) -> Lanes:
    """16 levels, uint8, as float32."""
    return Lanes(build, build.sitofp(build.zext(levels, INTS), FLOATS))


def _deal(mirror: bool) -> Any:
    """Vector code that scales 16 pixels and writes their channels to three lines, in this order or the reverse."""

    def code(row: Memory, at: ir.Value, gain: Memory, bias: Memory, lines: Memory, to: ir.Value, length: ir.Value) -> None:
        build, target = row.builder, lines.at(to)
        pixels = build.load(row.at(at).to(0, ir.VectorType(ir.IntType(8), BLOCK)), align=1)
        for channel in range(CHANNELS):
            picked = range(channel, BLOCK, CHANNELS)[:: -1 if mirror else 1]
            levels = build.shuffle_vector(pixels, pixels, integers(*picked))
            target[0] = floats(build, levels).times_plus(gain.repeated(channel), bias.repeated(channel))
            target = target.at(length)

    return vector_code(code)


_deal_forth, _deal_back = _deal(False), _deal(True)


@vector_code
def expect(out: Memory, to: ir.Value, plane: ir.Value) -> None:
    """Ask for the cache lines of three planes that 16 pixels will be written to."""
    target = out.at(to)
    for _ in range(CHANNELS):
        target.expect_write(0)
        target = target.at(plane)


@njit(nogil=True)
def copy(line: Any, out: Any) -> None:
    """As many elements as `out` has; numba's own assignment of slices first asks whether they overlap, which takes longer."""
    for x in range(out.size):
        out[x] = line[x]


@njit(nogil=True)
def turn_row(
    row: Any, start: int, width: int, shift: int, mirror: bool, gain: Any, bias: Any, lines: Any, out: Any, to: int, plane: int
) -> None:
    """Write a row of uint8 pixels into three planes. row, out: flat, from `start` and `to` on. lines: 3 · max(width, 16)"""
    length, last = lines.size // CHANNELS, max(width - LANES, 0)
    for block in range(0, width, LANES):
        x = min(block, last)  # the last block overlaps another
        expect(out, to + x, plane)
        source = x + shift
        source -= width if source >= width else 0
        if source <= last and width >= LANES:
            if mirror:
                _deal_back(row, start + CHANNELS * source, gain, bias, lines, length - LANES - x, length)
            else:
                _deal_forth(row, start + CHANNELS * source, gain, bias, lines, x, length)
        else:  # from the end of the stored row into its beginning
            edge = np.empty(BLOCK, np.uint8)
            for i in range(BLOCK):
                edge[i] = row[start + (CHANNELS * source + i) % (CHANNELS * width)]
            if mirror:
                _deal_back(edge, 0, gain, bias, lines, length - LANES - x, length)
            else:
                _deal_forth(edge, 0, gain, bias, lines, x, length)
    skip = length - width if mirror else 0
    for channel in range(CHANNELS):
        place = to + channel * plane
        copy(lines[channel * length + skip :], out[place : place + width])
