"""Optical flow as a PNG of KITTI's: three 16-bit channels, red u·64 + 2¹⁵, green v·64 + 2¹⁵, blue 1 where the flow is known.

As in the development kit of the KITTI flow benchmark (Geiger, Lenz and Urtasun, CVPR 2012): u is motion to the right and v motion
down, in pixels, in steps of 1/64 from −512 to +511.98; a pixel without flow is black.
"""

import struct
import zlib

import numpy as np

from dataio.format.table import FormatError

SCALE = 64.0
ZERO = 2**15  # what stands for no motion
_LONGEST = 16_384  # pixels a side, as everywhere: a damaged or hostile head must not make a reader allocate gigabytes

_DENSEST = 1032  # bytes that deflate can make of one

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB16 = (16, 2)  # bit depth, colour type


def encode_flow(flow: np.ndarray, valid: np.ndarray | None = None) -> bytes:
    """The PNG of a flow field; the same field gives the same bytes. What lies outside −512 … +511.98 pixels is clipped.

    Args:
        flow: (H, W, 2) floating point, (u, v) in pixels; what stands at pixels that are not valid is ignored.
        valid: (H, W) bool; None for all.

    Raises:
        ValueError: the arrays have other shapes, or the flow is not finite at a valid pixel.
    """
    if flow.ndim != 3 or flow.shape[2] != 2 or not np.issubdtype(flow.dtype, np.floating):
        raise ValueError(f"flow must be floating point of the shape (H, W, 2), not {flow.dtype} of {flow.shape}")
    if not 1 <= min(flow.shape[:2]) <= max(flow.shape[:2]) <= _LONGEST:
        raise ValueError(f"flow of {flow.shape[0]}x{flow.shape[1]} is outside 1 … {_LONGEST} pixels a side")
    if valid is None:
        valid = np.ones(flow.shape[:2], bool)
    if valid.shape != flow.shape[:2] or valid.dtype != np.bool_:
        raise ValueError(f"valid must be bool of the shape {flow.shape[:2]}, not {valid.dtype} of {valid.shape}")
    known = np.where(valid[..., None], flow, 0.0)
    if not np.isfinite(known).all():
        raise ValueError(f"flow is not finite at {int((~np.isfinite(known)).any(2).sum())} pixels that are marked valid")
    steps = np.clip(np.rint(known * SCALE) + ZERO, 0, 2**16 - 1)
    picture = np.empty((*valid.shape, 3), np.uint16)
    picture[..., 0] = valid
    picture[..., 1] = steps[..., 1] * valid
    picture[..., 2] = steps[..., 0] * valid

    import cv2  # takes a third of a second, and most of what reads shards needs none of it

    # OpenCV's order is blue, green, red. Run lengths alone: three quarters of level 6's gain in a fifth of its time
    form = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    _, data = cv2.imencode(".png", picture, form)
    return data.tobytes()


def decode_flow(data: bytes, name: str = "flow") -> tuple[np.ndarray, np.ndarray]:
    """The flow of a PNG of KITTI's: (H, W, 2) float32, (u, v) in pixels, zero where it is not known; and (H, W) bool, where it is.

    Args:
        name: what to call the file in errors.

    Raises:
        FormatError: no PNG, not three channels of 16 bits, larger than 16384 pixels a side, damaged, or cut off.
    """
    _check(data, name)

    import cv2

    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint16 or picture.ndim != 3 or picture.shape[2] != 3:
        raise FormatError(f"{name} is damaged: its pixels cannot be decoded")
    valid = picture[..., 0] > 0
    flow = (picture[..., :0:-1].astype(np.float32) - ZERO) / SCALE
    flow[~valid] = 0.0
    return flow, valid


def _check(data: bytes, name: str) -> None:
    """Raises FormatError unless these are the chunks of a 16-bit RGB PNG from head to end, each as its checksum says.

    OpenCV forgives some damage, and complains of other damage on standard error.
    """
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise FormatError(f"{name} is no PNG")
    width, height, *kind = struct.unpack(">IIBB", data[16:26])
    if tuple(kind) != _RGB16:
        raise FormatError(f"{name} has {kind[0]} bits a channel and colour type {kind[1]}; flow has 16 bits and type 2 (RGB)")
    if not 1 <= min(width, height) <= max(width, height) <= _LONGEST:
        raise FormatError(f"{name} says that it has {height}x{width} pixels, outside 1 … {_LONGEST} a side")
    if height * (6 * width + 1) > _DENSEST * len(data):
        raise FormatError(f"{name} says that it has {height}x{width} pixels, more than {len(data)} bytes can hold")
    at = len(_SIGNATURE)
    while True:
        head = data[at : at + 8]
        length = int.from_bytes(head[:4], "big")
        end = at + 12 + length
        if len(head) < 8 or end > len(data):
            raise FormatError(f"{name} is cut off after {len(data)} bytes")
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise FormatError(f"{name} is damaged: the checksum of the chunk at byte {at} is wrong")
        if head[4:] == b"IEND":
            return
        at = end
