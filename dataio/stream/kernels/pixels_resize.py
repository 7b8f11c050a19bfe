"""Separable resizing in vector code, four rows of the output at a time, for rotate.py.

A vector holds one column of those four rows: lane 4·r + c is channel c of row r, and every fourth lane is idle. Such vectors are
mixed from rows of the picture, then from their neighbours with one weight for all lanes, so that no tap needs a gather; and 16 of
them, transposed, are 16 pixels of each row and channel.
"""

from typing import Any

from llvmlite import ir
from numba import njit
from numba.core import cgutils

from dataio.stream.kernels.lanes import FLOATS, LANES, Lanes, Memory, integers, vector_code
from dataio.stream.kernels.pixels import CHANNELS, copy, expect, floats

ROWS = 4  # of the output, in one vector
_QUAD = ir.VectorType(ir.FloatType(), 4)


def _sum(build: ir.IRBuilder, taps: ir.Value, weights: Memory, first: ir.Value, pixels: Any) -> Lanes:
    """Σ weights[first + i] · pixels(i) over i < taps."""
    total = cgutils.alloca_once(build, FLOATS)
    build.store(ir.Constant(FLOATS, [0.0] * LANES), total)
    with cgutils.for_range(build, taps) as loop:
        weight = weights.at(build.add(first, loop.index)).repeated(0)
        build.store(pixels(loop.index).times_plus(weight, Lanes(build, build.load(total))).value, total)
    return Lanes(build, build.load(total))


@vector_code
def _mix_rows(
    picture: Memory, at: ir.Value, stride: ir.Value, weights: Memory, first: ir.Value, taps: ir.Value, mixed: Memory, to: ir.Value
) -> None:
    """Four neighbouring pixels of one output row, into the lanes of that row in four vectors."""
    build = picture.builder
    apart = integers(*(CHANNELS * pixel + min(channel, CHANNELS - 1) for pixel in range(4) for channel in range(4)))

    def pixels(i: ir.Value) -> Lanes:
        place = picture.at(build.add(at, build.mul(i, stride)))
        packed = build.load(place.to(0, ir.VectorType(ir.IntType(8), 4 * CHANNELS)), align=1)
        return floats(build, build.shuffle_vector(packed, packed, apart))

    total = _sum(build, taps, weights, first, pixels).value
    for pixel in range(4):
        quad = build.shuffle_vector(total, total, integers(*range(4 * pixel, 4 * pixel + 4)))
        build.store(quad, mixed.at(to).to(LANES * pixel, _QUAD), align=4)


@vector_code
def _mix_columns(mixed: Memory, at: ir.Value, weights: Memory, first: ir.Value, taps: ir.Value, line: Memory, to: ir.Value) -> None:
    """One column of four rows from its neighbours."""
    build, start = mixed.builder, mixed.at(at)
    line.at(to)[0] = _sum(build, taps, weights, first, lambda i: start.at(build.mul(i, ir.Constant(i.type, LANES)))[0])


@vector_code
def _deal(line: Memory, at: ir.Value, gain: Memory, bias: Memory, lines: Memory, to: ir.Value, length: ir.Value) -> None:
    """Scale 16 columns and write them to the twelve lines [row, channel] of `lines`."""
    build, source = line.builder, line.at(at)
    columns = [source[LANES * x].value for x in range(LANES)]
    stage = LANES // 2
    while stage:  # transpose by exchanging ever smaller blocks between pairs of vectors
        for i in (i for i in range(LANES) if not i & stage):
            above = integers(*(j - stage + LANES if j & stage else j for j in range(LANES)))
            below = integers(*(j + LANES if j & stage else j + stage for j in range(LANES)))
            pair = columns[i], columns[i + stage]
            columns[i], columns[i + stage] = build.shuffle_vector(*pair, above), build.shuffle_vector(*pair, below)
        stage //= 2
    target = lines.at(to)
    for row in range(ROWS):
        for channel in range(CHANNELS):
            levels = Lanes(build, columns[4 * row + channel])
            target[0] = levels.times_plus(gain.repeated(channel), bias.repeated(channel))
            target = target.at(length)


@njit(nogil=True)
def mix_row(picture: Any, start: int, width: int, weights: Any, first: int, taps: int, mixed: Any, row: int) -> None:
    """Row `row` of `mixed`, [width, 16], from `taps` rows of the picture that begin at `start`."""
    stride = CHANNELS * width
    for block in range(0, width if width >= 4 else 0, 4):
        x = min(block, width - 4)  # the last block overlaps another
        _mix_rows(picture, start + CHANNELS * x, stride, weights, first, taps, mixed, LANES * x + 4 * row)
    for i in range(stride if width < 4 else 0):
        total = 0.0
        for j in range(taps):
            total += weights[first + j] * picture[start + j * stride + i]
        mixed[i // CHANNELS * LANES + 4 * row + i % CHANNELS] = total


@njit(nogil=True)
def mix_columns(mixed: Any, columns: Any, weights: Any, width: int, shift: int, mirror: bool, line: Any) -> None:
    """Four rows of the output, [width, 16], turned and perhaps mirrored."""
    taps = weights.size // width
    for x in range(width):
        source = (width - 1 - x if mirror else x) + shift
        source -= width if source >= width else 0
        _mix_columns(mixed, LANES * columns[source], weights, taps * source, taps, line, LANES * x)


@njit(nogil=True)
def deal_rows(line: Any, width: int, gain: Any, bias: Any, lines: Any, out: Any, to: int, rows: int, plane: int) -> None:
    """Write up to four rows into three planes. lines: scratch, 12 × max(width, 16); line: as long at least."""
    length, last = lines.size // (ROWS * CHANNELS), max(width - LANES, 0)
    for block in range(0, width, LANES):
        x = min(block, last)
        for row in range(rows):
            expect(out, to + row * width + x, plane)
        _deal(line, LANES * x, gain, bias, lines, x, length)
    for channel in range(CHANNELS):
        for row in range(rows):
            place = to + channel * plane + row * width
            copy(lines[(CHANNELS * row + channel) * length :], out[place : place + width])
