"""CRC-32C at the speed of memory, for loops that numba compiles; `index.crc32c` is what plain Python calls."""

from dataio.format.crc.choice import Engine, engine
from dataio.format.crc.summing import combine, extend, shift

__all__ = ["Engine", "combine", "engine", "extend", "shift"]
