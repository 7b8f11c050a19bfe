"""The size of a JPEG, from the markers before its scan (ITU-T T.81, annex B)."""

import numpy as np

from dataio.stream.decode.errors import DecodeError

MOST_PIXELS = 2**27
"""Of one picture: a few bytes can claim four billion, and decoders would make room for them."""

_BARE = frozenset((0x01, *range(0xD0, 0xD8)))  # markers without a segment
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # starts of a frame, of any coding


def jpeg_size(data: np.ndarray) -> tuple[int, int]:
    """Height and width in pixels, as the frame's header has them.

    Args:
        data: (bytes,) uint8.

    Raises:
        DecodeError: these bytes are no JPEG, or one of more than MOST_PIXELS.
    """
    head, end = data.data, len(data)
    if end < 4 or head[0] != 0xFF or head[1] != 0xD8:
        raise DecodeError("it is empty" if not end else "it is no JPEG")
    at = 2
    while at + 9 <= end and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _FRAMES:
            height, width = head[at + 5] << 8 | head[at + 6], head[at + 7] << 8 | head[at + 8]
            if not 0 < height * width <= MOST_PIXELS:
                raise DecodeError(f"it claims to be {height}x{width}; a picture has from 1 to {MOST_PIXELS} pixels")
            return height, width
        elif marker in (0xD8, 0xD9, 0xDA):
            break
        else:
            at += 2 + max(2, head[at + 2] << 8 | head[at + 3])
    raise DecodeError("its header holds no size")
