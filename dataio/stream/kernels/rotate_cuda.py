"""The same turn on the GPU: one thread a pixel of the output, the tables of `rotate.plan`, one launch a batch.

Written for the GPU and checked in numba's CUDA simulator; docs/gpu says what has run on a device.
"""

from dataclasses import astuple

import numpy as np
from numba import cuda

from dataio.stream.kernels.rotate import Resize

THREADS = 256  # a block: eight warps, each writing 128 neighbouring bytes of one row


@cuda.jit
def _kernel(frames, shift, mirror, rows, row_weights, columns, column_weights, gain, bias, out):
    """frames (B, F, H, W, 3) uint8 → out (B, 3, F, height, width). Grid: x over columns, y over rows × frames, z over clips."""
    x = cuda.grid(1)
    clip = cuda.blockIdx.z
    f, y = cuda.blockIdx.y // out.shape[3], cuda.blockIdx.y % out.shape[3]
    width = out.shape[4]
    if x >= width:
        return
    source = x + shift[clip]
    source -= width if source >= width else 0
    r, g, b = np.float32(0), np.float32(0), np.float32(0)
    for j in range(rows.shape[1]):
        for i in range(columns.shape[1]):
            weight = row_weights[y, j] * column_weights[source, i]
            pixel = frames[clip, f, rows[y, j], columns[source, i]]
            r += weight * pixel[0]
            g += weight * pixel[1]
            b += weight * pixel[2]
    to = width - 1 - x if mirror[clip] else x
    out[clip, 0, f, y, to] = r * gain[0] + bias[0]
    out[clip, 1, f, y, to] = g * gain[1] + bias[1]
    out[clip, 2, f, y, to] = b * gain[2] + bias[2]


class Tables:
    """A `Resize` on the device, moved there once."""

    def __init__(self, resize: Resize) -> None:
        self.resize = resize
        self.arrays = [cuda.to_device(array) for array in astuple(resize)[2:]]


def geometry(clips: int, frames: int, size: tuple[int, int]) -> tuple[tuple[int, int, int], int]:
    """Grid and block of a launch.

    Raises:
        ValueError: frames × height is over 65,535, or clips are: CUDA's limit for the second and third dimension of a grid.
    """
    if frames * size[0] > 65_535 or clips > 65_535:
        raise ValueError(
            f"{clips} clips of {frames} frames {size[0]} high do not fit one launch: at most 65535 clips, and 65535 rows a clip"
        )
    return (-(-size[1] // THREADS), frames * size[0], clips), THREADS


def rotate(frames, shift, mirror, tables: Tables, out, stream=0) -> None:
    """Write a batch of frames as it is wanted, asynchronously on `stream`.

    Args:
        frames: (B, F, H, W, 3) uint8 on the device. shift, mirror: (B,) int64 on the device, as in `dataio.stream.rotate.rotate`.
        out: (B, 3, F, height, width) float32 or float16 on the device. Anything with `__cuda_array_interface__` will do.
    """
    grid, block = geometry(out.shape[0], out.shape[2], tables.resize.size)
    _kernel[grid, block, stream](frames, shift, mirror, *tables.arrays, out)
