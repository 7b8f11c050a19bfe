"""Spectrograms with cuFFT: floats to memory, overlapping frames as strided views of them, then window, logarithm and transposition.

A contender of the fused kernel, for the bench only. cuFFT's advanced layout reads frames a hop apart where they lie. The periodic
Hann window is applied afterwards, to bins: (X[k] / 2 - X[k-1] / 4 - X[k+1] / 4), exact in real numbers, so that no callback is
needed. Beside the output this moves each sample as a float, written and read, and each complex bin, written and read.

Written for the GPU, simulated, not yet run on a device.
"""

# mypy: no-check-untyped-defs
# inside a kernel, names mean what numba makes of them

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

from dataio.stream.kernels.device_arrays import flat, queue
from dataio.stream.kernels.stft import BINS, FLOOR, HOP, WINDOW, columns

TILE = 32
TILE_PITCH = TILE + 1  # odd, so that a column of the tile lies in different banks
FLOOR_32 = np.float32(FLOOR)


def pitch(samples: int) -> int:
    """Floats from one ear's padded signal to the next: whole hops, so that all frames of all ears are one hop apart."""
    return -(-(samples + WINDOW) // HOP) * HOP


@cuda.jit
def widen(pcm, gains, samples, room, x):
    """Flat int16 pairs to floats, ear by ear, reflected at both ends. Grid: x over a pair's floats, y over pairs."""
    i = np.int64(cuda.blockIdx.x) * cuda.blockDim.x + cuda.threadIdx.x
    pair = np.int64(cuda.blockIdx.y)
    if i >= room:
        return
    source = abs(i - WINDOW // 2)
    source = max(min(source, 2 * (samples - 1) - source), 0)
    for ear in range(2):
        gain = gains[2 * pair + ear] * np.float32(1 / 32768)
        x[(2 * pair + ear) * room + i] = np.float32(pcm[2 * (pair * samples + source) + ear]) * gain


@cuda.jit
def window_log(z, frames, per_ear, out):
    """Bins of rectangular frames, (ears, per_ear, 257), to log power of windowed ones, (ears, 257, frames).

    Grid: x over tiles of 32 columns, y over tiles of 32 bins, z over ears; 32 × 8 threads.
    """
    tile = cuda.shared.array((TILE, TILE_PITCH), np.float32)
    first, bin0, ear = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TILE, np.int64(cuda.blockIdx.z)
    k = bin0 + cuda.threadIdx.x
    for row in range(cuda.threadIdx.y, TILE, 8):
        if k < BINS and first + row < frames:
            at = (ear * per_ear + first + row) * BINS
            own, below, above = z[at + k], z[at + abs(k - 1)], z[at + (k + 1 if k < BINS - 1 else BINS - 2)]
            # a real signal's bins -1 and 257 are bins 1 and 255 conjugated
            down = -below.imag if k == 0 else below.imag
            up = -above.imag if k == BINS - 1 else above.imag
            half, quarter = np.float32(0.5), np.float32(0.25)
            re = half * own.real - quarter * (below.real + above.real)
            im = half * own.imag - quarter * (down + up)
            tile[row, cuda.threadIdx.x] = cuda.libdevice.fast_logf(max(re * re + im * im, FLOOR_32))
    cuda.syncthreads()
    column = first + cuda.threadIdx.x
    for row in range(cuda.threadIdx.y, TILE, 8):
        if column < frames and bin0 + row < BINS:
            out[(ear * BINS + bin0 + row) * frames + column] = tile[cuda.threadIdx.x, row]


class Planned:
    """Memory and plan for so many pairs of so many samples; `transform` alone is bare cuFFT.

    Args:
        empty: makes a flat array of so many float32 on the device.
    """

    def __init__(self, pairs: int, samples: int, empty: Callable[[int], Any]) -> None:
        import cupy
        from cupy.cuda import cufft

        self.samples, self.frames, self.room = samples, columns(samples), pitch(samples)
        self.ears, self.per_ear = 2 * pairs, pitch(samples) // HOP
        # frames behind an ear's last are made of two ears, and not looked at; those of the last ear run into the spare end
        self._x, self._z = empty(self.ears * self.room + WINDOW), empty(2 * self.ears * self.per_ear * BINS)
        self._x[:] = 0
        self._in, self._out = (cupy.asarray(array) for array in (self._x, self._z))
        layout = [[self.room], 1, HOP, [BINS], 1, BINS]
        self._plan = cufft.PlanNd((WINDOW,), *layout, cufft.CUFFT_R2C, self.ears * self.per_ear, "C", 0, BINS)
        self._cupy = cupy

    def transform(self, stream: int) -> None:
        """The FFT of every rectangular frame."""
        with self._cupy.cuda.ExternalStream(stream):
            self._plan.fft(self._in, self._out, self._plan_forward)

    _plan_forward = -1  # CUFFT_FORWARD

    def log(self, pcm: Any, gains: Any, out: Any, stream: int) -> None:
        """As `stft_cuda.spectrogram`, kind log."""
        on = queue(stream)
        sound, volume, x = flat(pcm, "pcm").words(), flat(gains, "gains").words(), flat(self._x, "x").words()
        widen[(-(-self.room // 256), self.ears // 2), 256, on](sound, volume, self.samples, self.room, x)
        self.transform(stream)
        grid = -(-self.frames // TILE), -(-BINS // TILE), self.ears
        z = flat(self._z, "z").words(np.complex64)
        window_log[grid, (TILE, 8), on](z, self.frames, self.per_ear, flat(out, "out").words())
