"""CRC-32C at the speed of memory, for loops that numba compiles; `index.crc32c` is what plain Python calls."""

from dataio.format.crc.fastest import address, extend
from dataio.format.crc.polynomial import combine, powers, shift

__all__ = ["address", "combine", "extend", "powers", "shift"]
