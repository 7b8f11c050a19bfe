"""A tar as a WebDataset: what is where in it, found in one pass by compiled code."""

from dataio.format.tar.columns import (
    CLIP,
    CRC,
    END,
    EXTENSION,
    FACTS,
    FIRST_BLOCK,
    HEADER,
    KEY,
    KEY_AT,
    KEY_LENGTH,
    LENGTH,
    NAME,
    OFFSET,
    RECORDING,
    TEXT_AT,
    TEXT_LENGTH,
)
from dataio.format.tar.faults import TarError
from dataio.format.tar.limits import TEXT_LIMIT
from dataio.format.tar.walked import Walk
from dataio.format.tar.walking import walk

__all__ = [
    "CLIP",
    "CRC",
    "END",
    "EXTENSION",
    "FACTS",
    "FIRST_BLOCK",
    "HEADER",
    "KEY",
    "KEY_AT",
    "KEY_LENGTH",
    "LENGTH",
    "NAME",
    "OFFSET",
    "RECORDING",
    "TEXT_AT",
    "TEXT_LENGTH",
    "TEXT_LIMIT",
    "TarError",
    "Walk",
    "walk",
]
