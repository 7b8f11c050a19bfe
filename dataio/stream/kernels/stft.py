"""Spectrograms of binaural PCM on the CPU, exact to float32: what `torch.stft` gives, in one pass from int16 to the batch.

Window 512 (periodic Hann), hop 160, centred, reflect padding: n samples give 1 + n // 160 columns of 257 bins. Sixteen consecutive
columns are computed at once, one per lane (lanes.py, fft.py, bins.py), in 110 kB of scratch that stay in the second-level cache:
of main memory, only the PCM is read and only the result is written.
"""

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numpy.typing import NDArray

from dataio.stream.kernels import bins, fft, lanes
from dataio.stream.kernels.bins import BINS, FLOOR, KINDS, write_complex, write_ipd, write_log, write_magnitude
from dataio.stream.kernels.fft import (
    COLUMN,
    POINTS,
    RADIX,
    ROOTS,
    SCRATCH,
    TWIDDLES,
    VALUE,
    VALUES,
    Complex,
    first_pass,
    second_pass,
)
from dataio.stream.kernels.lanes import FLOATS, INTS, LANES, Memory, integers, vector_code

__all__ = ["BINS", "FLOOR", "HOP", "KINDS", "WINDOW", "columns", "spectrogram"]

WINDOW = POINTS
HOP = 160

HANN = ((1 - np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)) / 2).astype(np.float32)
SCALE = np.float32(0.5 / 32768)  # int16 to ±1; the half undoes the doubling of `unpack`
SPAN = LANES + 4  # hops that 16 frames touch: 15 steps and 512 samples, rounded up to whole vectors
EAR = HOP * SPAN  # floats of one ear's samples, as [sample within hop, hop]


def spread(hops: int) -> Any:
    """Vector code that turns 16 samples of `hops` hops (16 or 4) of interleaved PCM into floats [ear, sample, hop]."""

    def code(pcm: Memory, start: ir.Value, x: Memory, to: ir.Value) -> None:
        build, pcm, x = pcm.builder, pcm.at(start), x.at(to)
        rows = [build.load(pcm.to(2 * HOP * hop, INTS), align=2) for hop in range(hops)]  # both ears of a sample in one int32
        stage = hops // 2
        while stage:  # transpose by exchanging ever smaller blocks between pairs of rows
            for i in (i for i in range(hops) if not i & stage):
                above = integers(*(j - stage + LANES if j & stage else j for j in range(LANES)))
                below = integers(*(j + LANES if j & stage else j + stage for j in range(LANES)))
                pair = rows[i], rows[i + stage]
                rows[i], rows[i + stage] = build.shuffle_vector(*pair, above), build.shuffle_vector(*pair, below)
            stage //= 2
        for i, words in enumerate(rows):
            left, right = build.ashr(build.shl(words, integers(16)), integers(16)), build.ashr(words, integers(16))
            for ear, samples in enumerate((build.sitofp(left, FLOATS), build.sitofp(right, FLOATS))):
                for sample in range(0, LANES, hops):
                    part = build.shuffle_vector(samples, samples, integers(*range(sample, sample + hops)))
                    build.store(part, x.to(ear * EAR + (i + sample) * SPAN, part.type), align=4)

    return vector_code(code)


spread_16, spread_4 = spread(16), spread(4)


@vector_code
def window_pass(
    x: Memory, row: ir.Value, window: Memory, point: ir.Value, twiddles: Memory, j: ir.Value, z: Memory, to: ir.Value
) -> None:
    """Window the packed values j, j + 16, … of 16 frames and take them through the first pass."""
    x, window = x.at(row), window.at(point)
    packed = []
    for m in range(RADIX):
        at = 32 * m % HOP * SPAN + 32 * m // HOP  # sample n of frame t is sample n mod 160 of hop t + n // 160
        packed.append(Complex(x[at] * window.repeated(32 * m), x[at + SPAN] * window.repeated(32 * m + 1)))
    first_pass(packed, twiddles.at(j), z.at(to))


@njit
def aligned(size: int) -> Any:
    """An uninitialised flat float32 array that starts on a cache line: vectors across two lines slowed the kernel by 5 – 9 %."""
    floats = np.empty(size + LANES, np.float32)
    skip = -floats.ctypes.data % 64 // 4
    return floats[skip : skip + size]


@njit
def reflect(pcm: Any, start: int, out: Any) -> None:
    """Fill `out` with samples from `start` on, mirrored at both ends; what no kept frame touches may be anything."""
    samples = len(pcm) // 2
    for i in range(len(out) // 2):
        source = abs(start + i)
        source = source if source < samples else max(2 * (samples - 1) - source, 0)
        out[2 * i], out[2 * i + 1] = pcm[2 * source], pcm[2 * source + 1]


def compiled(revision: int) -> Any:
    """The kernel, cached on disk by `revision`: numba itself notices changes of this file, not of the vector code it calls."""

    @njit(nogil=True, cache=True)
    def kernel(pcm: Any, gains: Any, out: Any, frames: int, kind: int) -> None:
        """Flat int16 pairs to flat planes of 257 × frames; frames ≥ 16, kind indexes KINDS. The last block overlaps another."""
        assert revision  # only so that numba's cache keys the kernel by it
        window, x, z = aligned(2 * WINDOW), aligned(2 * EAR), aligned(2 * SCRATCH)
        ends = np.empty(2 * SPAN * HOP, np.int16)
        for ear in range(2):
            window[ear * WINDOW : (ear + 1) * WINDOW] = HANN * (gains[ear] * SCALE)
        for block in range(0, frames, LANES):
            first = min(block, frames - LANES)
            source, start = pcm, first * HOP - WINDOW // 2
            if start < 0 or 2 * (start + SPAN * HOP) > len(pcm):
                reflect(pcm, start, ends)
                source, start = ends, 0
            for sample in range(0, HOP, LANES):
                spread_16(source, 2 * (start + sample), x, sample * SPAN)
                spread_4(source, 2 * (start + LANES * HOP + sample), x, sample * SPAN + LANES)
            for ear in range(2):
                for j in range(RADIX):
                    point, to = ear * WINDOW + 2 * j, ear * SCRATCH + j * VALUE
                    window_pass(x, ear * EAR + 2 * j * SPAN, window, point, TWIDDLES, 2 * RADIX * j, z, to)
            for column in range(RADIX // 2 + 1):  # with its mirror image, so that both are at hand to unpack
                for ear in range(2):
                    second_pass(z, ear * SCRATCH + column * COLUMN)
                    if column % 8:
                        second_pass(z, ear * SCRATCH + (RADIX - column) * COLUMN)
                for k in range(column, VALUES if column % 8 else VALUES // 2 + 1, RADIX):
                    opposite = (VALUES - k) % VALUES
                    at, mirror = column * COLUMN + k // RADIX * VALUE, opposite % RADIX * COLUMN + opposite // RADIX * VALUE
                    low, high, plane = k * frames + first, (VALUES - k) * frames + first, BINS * frames
                    if kind == 0:
                        write_log(z, at, mirror, ROOTS, 2 * k, out, low, high, plane)
                    elif kind == 1:
                        write_magnitude(z, at, mirror, ROOTS, 2 * k, out, low, high, plane)
                    elif kind == 2:
                        write_complex(z, at, mirror, ROOTS, 2 * k, out, low, high, plane)
                    else:
                        write_ipd(z, at, mirror, ROOTS, 2 * k, out, low, high, plane)

    return kernel


_SOURCES = b"".join(Path(module.__file__ or "").read_bytes() for module in (lanes, fft, bins))
kernel = compiled(zlib.crc32(_SOURCES) | 1)


def columns(samples: int) -> int:
    """Number of columns of a spectrogram of so many samples."""
    return 1 + samples // HOP


def spectrogram(pcm: NDArray[np.int16], gains: NDArray[np.float32], out: NDArray[np.float32], kind: str) -> None:
    """Write the spectrogram of one binaural pair into `out`; releases the GIL, and may run in many threads at once.

    pcm     (n, 2) int16, left ear first, n ≥ 257; C-contiguous, or it is copied
    gains   (2,) finite; amplitude is pcm / 32768 · gain
    out     float32, C-contiguous, T = columns(n):
            "log"        (2, 257, T)     natural logarithm of max(power, 1e-5)
            "magnitude"  (2, 257, T)
            "complex"    (2, 2, 257, T)  ear; real, imaginary
            "ipd"        (2, 257, T)     cosine, sine of the phase of the left ear minus that of the right; (1, 0) where the
                                         power of either is at most 1e-10 and its phase means nothing

    Raises ValueError where an argument is not as above.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(KINDS)}")
    if pcm.dtype != np.int16 or pcm.ndim != 2 or pcm.shape[1] != 2:
        raise ValueError(f"pcm is {pcm.dtype} of shape {pcm.shape}; allowed: int16 of shape (samples, 2)")
    if len(pcm) <= WINDOW // 2:
        raise ValueError(f"pcm has {len(pcm)} samples; reflect padding needs at least {WINDOW // 2 + 1}")
    gains = np.asarray(gains, np.float32)
    if gains.shape != (2,) or not (math.isfinite(gains[0]) and math.isfinite(gains[1])):
        raise ValueError(f"gains are {gains.tolist()}; allowed: two finite numbers, left ear first")
    frames = columns(len(pcm))
    shape = (2, 2, BINS, frames) if kind == "complex" else (2, BINS, frames)
    if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous or not out.flags.writeable:
        state = f"{'' if out.flags.c_contiguous else 'not '}contiguous, {'' if out.flags.writeable else 'not '}writable"
        raise ValueError(f"out is {out.dtype} of shape {out.shape}, {state}; allowed: contiguous writable float32 of shape {shape}")
    flat = np.require(pcm, requirements=("C", "A")).reshape(-1)
    flat.flags.writeable = False  # one numba signature, whether the caller's bytes are read-only or not
    target = out if frames >= LANES else np.empty((*shape[:-1], LANES), np.float32)
    kernel(flat, gains, target.reshape(-1), target.shape[-1], KINDS.index(kind))
    if target is not out:
        out[...] = target[..., :frames]
