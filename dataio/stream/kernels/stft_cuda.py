"""Spectrograms of binaural PCM on the GPU: one fused kernel from int16 to the batch, formulas and tables those of the CPU's.

Written for the GPU, simulated, compiled for compute capability 9.0, not yet run on a device.

A block of 256 threads takes sixteen columns of both ears of a pair. It reads each of its 2912 samples once, both ears in one word,
turns them into floats in shared memory, two hops of which lie an odd number of pairs apart; the window is applied, and the packed
transform taken, by fft_cuda.py; sixteen lanes then store sixteen neighbouring columns of a bin. Overlapping frames are never
written.

Counted in the assembly for 9.0, a frame of one ear (eight threads), kind log, inner blocks:
    instructions     13,500, of which 8,600 on floats (5,100 in the transforms, the rest twiddles, window, unpacking, powers)
    registers        96 a thread, none spilled: two blocks, 16 warps, a multiprocessor
    shared memory    7 KiB: 2 of samples read, 4 through the exchange, 0.7 of samples written; 32 KiB a block
    global memory    364 bytes of PCM (320, and what neighbouring blocks share), 1028 of output
132 multiprocessors at 1.75 GHz (H100, H200) issue that for 2.2 · 10⁹ frames a second at most. Copying at 3.0 (4.5) TB/s would allow
2.2 (3.3) · 10⁹, and bare cuFFT, if it were only held up by the 2.7 KB that it reads and writes, 1.1 (1.7) · 10⁹.
"""

# mypy: no-check-untyped-defs
# inside a kernel, names mean what numba makes of them

from typing import Any

import numpy as np
from numba import cuda
from numba.core import config

from dataio.stream.kernels.device_arrays import flat, queue
from dataio.stream.kernels.fft import ROOTS, TWIDDLES, VALUES
from dataio.stream.kernels.fft_cuda import EXCHANGE, FRAMES, HOP_PAIRS, LANE_COUNT, PITCH, WARPS
from dataio.stream.kernels.stft import BINS, HANN, HOP, KINDS, SCALE, WINDOW, columns
from dataio.stream.kernels.stft_cuda_bins import transform
from dataio.stream.kernels.stft_cuda_scalars import thread_code

PAIRS = ((FRAMES - 1) * HOP + WINDOW) // 2
"""Pairs of samples of an ear that a block reads."""

EAR = 2 * (PAIRS + (PAIRS - 1) // HOP_PAIRS)
"""Floats from the left ear's samples to the right ear's."""

THREADS = WARPS * LANE_COUNT
BLOCKS = 2**31 - 1
"""Of a launch at most, by CUDA's limit on the first dimension of a grid."""

BOUNDS = {} if config.ENABLE_CUDASIM else {"launch_bounds": (THREADS, 2)}  # type: ignore[attr-defined]
"""Two blocks a multiprocessor, so up to 128 registers a thread; the simulator knows no bounds."""

LONGEST = 2**30
"""Samples of a signal: their numbers, and those of their mirror images, are 32-bit integers."""


@thread_code
def put_two(machine: Any, memory: Any, place: Any, first: Any, second: Any) -> None:
    """Two neighbouring floats in one store."""
    memory.at(place).put_two(0, first, second)


@cuda.jit(device=True)
def reflected(sample, samples):
    """Where a sample is taken from: mirrored at both ends. What no kept frame touches may be any."""
    sample = np.int32(abs(sample))
    return np.uint64(max(min(sample, np.int32(np.int32(2) * np.int32(samples - np.int32(1)) - sample)), np.int32(0)))


@cuda.jit(device=True)
def hops(at):
    """at // 80, for less than 40,000: a multiplication where a division would be many instructions."""
    return np.uint32(np.uint32(at * np.uint32(52429)) >> np.uint32(22))


def made(kind: str) -> Any:
    """The kernel of a kind."""
    compute, planes = transform(kind), 2 if kind == "complex" else 1

    @cuda.jit(**BOUNDS)
    def kernel(pcm, gains, samples, frames, groups, first_pair, out):
        """pcm: (N, n, 2) int16 as (N · n) uint32; gains: (2N,); out: flat. A block: 16 columns; `groups` of them: a pair."""
        shared = cuda.shared.array(EXCHANGE, np.float32)
        window, twiddles, roots = cuda.const.array_like(HANN), cuda.const.array_like(TWIDDLES), cuda.const.array_like(ROOTS)
        lane, warp = np.uint32(cuda.threadIdx.x), np.uint32(cuda.threadIdx.y)
        block = np.uint32(cuda.blockIdx.x)
        later = np.uint32(block // groups)
        pair = np.uint64(first_pair) + np.uint64(later)
        first = np.int32(np.uint32(FRAMES) * np.uint32(block - np.uint32(later * groups)))

        left, right = np.float32(gains[np.uint64(2) * pair] * SCALE), np.float32(gains[np.uint64(2) * pair + np.uint64(1)] * SCALE)
        start, line = np.int32(first * np.int32(HOP) - np.int32(WINDOW // 2)), pair * np.uint64(samples)
        inside = start >= np.int32(0) and np.int32(start + np.int32(2 * PAIRS)) <= samples  # alike in all threads of a block
        at = np.uint32(warp * np.uint32(LANE_COUNT) + lane)
        source = line + np.uint64(max(start, np.int32(0))) + np.uint64(np.uint32(2) * at)
        while at < np.uint32(PAIRS):
            if inside:
                one, two = np.int32(pcm[source]), np.int32(pcm[source + np.uint64(1)])
            else:
                sample = np.int32(start + np.int32(np.uint32(2) * at))
                one = np.int32(pcm[line + reflected(sample, samples)])
                two = np.int32(pcm[line + reflected(np.int32(sample + np.int32(1)), samples)])
            source += np.uint64(2 * THREADS)
            place = np.uint32(np.uint32(2) * np.uint32(at + hops(at)))
            put_two(shared, place, np.float32(np.int16(one)) * left, np.float32(np.int16(two)) * left)
            high = np.float32(np.int32(one >> np.int32(16))) * right, np.float32(np.int32(two >> np.int32(16))) * right
            put_two(shared, np.uint32(place + np.uint32(EAR)), high[0], high[1])
            at = np.uint32(at + np.uint32(THREADS))
        cuda.syncthreads()

        ear, frame = np.uint32(lane >> np.uint32(4)), np.uint32(lane & np.uint32(15))
        begin = np.uint32(ear * np.uint32(EAR) + np.uint32(np.uint32(2 * PITCH) * frame))
        column = np.uint64(np.int32(first + np.int32(frame)))
        long = np.uint64(frames)
        low = ((np.uint64(2) * pair + np.uint64(ear)) * np.uint64(planes * BINS) + np.uint64(warp)) * long + column
        high = low + np.uint64(np.uint32(VALUES) - np.uint32(np.uint32(2) * warp)) * long
        compute(shared, begin, lane, warp, window, twiddles, roots, out, low, high, long, column < long, ear == np.uint32(0))

    return kernel


kernels = {kind: made(kind) for kind in KINDS}


def geometry(pairs: int, frames: int, most: int = BLOCKS) -> list[tuple[int, int]]:
    """First pair and number of blocks of every launch: whole pairs, 16 columns a block."""
    groups = -(-frames // FRAMES)
    step = most // groups
    return [(first, groups * min(step, pairs - first)) for first in range(0, pairs, step)]


def spectrogram(pcm: Any, gains: Any, out: Any, kind: str, stream: int = 0) -> None:
    """Write the spectrograms of a batch of binaural pairs into `out`, asynchronously on `stream`, a raw handle.

    Args:
        pcm: (N, n, 2) int16, left ear first, 257 ≤ n ≤ 2³⁰, beginning at a multiple of four bytes.
        gains: (N, 2) float32, finite (not looked at: that would wait for the device); amplitude is pcm / 32768 · gain.
        out: float32, T = columns(n), layouts as `stft.spectrogram`: "log", "magnitude", "ipd" (N, 2, 257, T); "complex"
            (N, 2, 2, 257, T). All contiguous and on the device, with `__cuda_array_interface__`.

    Raises:
        ValueError: a kind, shape, dtype or layout is wrong; the message says which.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(KINDS)}")
    sound, volume, target = flat(pcm, "pcm"), flat(gains, "gains"), flat(out, "out")
    if sound.dtype != np.int16 or len(sound.shape) != 3 or sound.shape[2] != 2:
        raise ValueError(f"pcm is {sound.dtype} {sound.shape}; expected int16 (pairs, samples, 2)")
    pairs, samples = sound.shape[:2]
    if not WINDOW // 2 < samples <= LONGEST:
        raise ValueError(f"pcm has {samples} samples; allowed: {WINDOW // 2 + 1} (for reflect padding) to {LONGEST}")
    if sound.address % 4:
        raise ValueError(f"pcm begins {sound.address % 4} bytes beside a multiple of four; expected a multiple of four")
    if volume.dtype != np.float32 or volume.shape != (pairs, 2):
        raise ValueError(f"gains are {volume.dtype} {volume.shape}; expected float32 {(pairs, 2)}")
    frames = columns(samples)
    shape = (pairs, 2, *((2,) if kind == "complex" else ()), BINS, frames)
    if target.dtype != np.float32 or target.shape != shape:
        raise ValueError(f"out is {target.dtype} {target.shape}; expected float32 {shape}")
    numbers = np.int32(samples), np.int32(frames), np.uint32(-(-frames // FRAMES))
    for first, blocks in geometry(pairs, frames):
        kernels[kind][blocks, (LANE_COUNT, WARPS), queue(stream)](
            sound.words(np.int32), volume.words(), *numbers, np.uint64(first), target.words()
        )
