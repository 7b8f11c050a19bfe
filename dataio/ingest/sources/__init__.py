"""Layouts of raw recordings. Each module lists the recordings of a folder; none reads more of them than their heads."""

from collections.abc import Callable
from pathlib import Path

from dataio.ingest.errors import SourceError
from dataio.ingest.sources import folder, omniaudio, synthetic
from dataio.ingest.sources.recording import Ear, Found, Recording, Refused

__all__ = ["LAYOUTS", "Ear", "Found", "Recording", "Refused", "SourceError", "detect", "find"]

_READERS: dict[str, Callable[..., list[Found]]] = {
    "folder": folder.recordings,
    "omniaudio": omniaudio.recordings,
    "synthetic": synthetic.recordings,
}
LAYOUTS = ("auto", *_READERS)


def detect(root: Path) -> str:
    """The layout of this source folder."""
    if (root / synthetic.MARKER).is_file():
        return "synthetic"
    return "omniaudio" if any(omniaudio.is_scene(path) for path in root.iterdir()) else "folder"


def find(root: Path, layout: str, *, allow_mono: bool = False) -> list[Found]:
    """Every recording below `root`, usable or refused, in an order that depends on the names alone.

    Raises:
        SourceError: no such folder, an empty folder, an unknown layout, or nothing in it that the layout knows.
    """
    if layout not in LAYOUTS:
        raise SourceError(f"layout={layout!r} is unknown; the layouts are {', '.join(LAYOUTS)}")
    if not root.is_dir():
        raise SourceError(f"the source {root} {'is no folder' if root.exists() else 'does not exist'}")
    if not any(root.iterdir()):
        raise SourceError(f"the source {root} is empty")
    return _READERS[detect(root) if layout == "auto" else layout](root, allow_mono=allow_mono)
