"""Compiled functions that are made of several files, and numba's cache of them on disk.

numba notices when the file of a cached function changes, not when one does from which that function calls others: it would go on
with what those were. Its key does hold the values that a function has from around it, so a digest of all files is made one.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sources(places: Iterable[str | Path]) -> str:
    """Digest of these Python files; of a package, all in its folder. A file is named by its `__file__`, a package by that of its
    `__init__`.
    """
    digest = hashlib.sha256()
    for place in map(Path, places):
        files = sorted(place.parent.glob("*.py")) if place.name == "__init__.py" else [place]
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
