"""How numba compiles what is made of several files: without counting references, and with a cache that knows of all files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numba import njit

_UNCOUNTED: Any = {"nogil": True, "_nrt": False}

part: Any = njit(**_UNCOUNTED)
"""Decorates a function that compiled loops call, and which neither makes nor keeps an array.

numba counts references to every array at every call otherwise, which takes longer than what these functions do.
"""

inlined: Any = njit(**_UNCOUNTED, forceinline=True)
"""The same, for a function that is called in one place: it becomes a part of the loop, so that no arguments are passed."""

cached_part: Any = njit(**_UNCOUNTED, cache=True)
"""The same, for a function that Python calls too, and which calls none of another file."""


def sources(places: Iterable[str | Path]) -> str:
    """Digest of these Python files; of a package, given by its `__init__.py`, all in its folder.

    numba notices when the file of a cached function changes, but not when one does from which that function calls others: it would
    go on with what those were. Its key does hold the values that a function has from around it, so this digest is made one.
    """
    digest = hashlib.sha256()
    for place in map(Path, places):
        for file in sorted(place.parent.glob("*.py")) if place.name == "__init__.py" else [place]:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
