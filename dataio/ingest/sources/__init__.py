"""Layouts of raw recordings. Each module lists the recordings of a folder; none reads more of them than their heads."""

from collections.abc import Callable
from pathlib import Path

from dataio.ingest.errors import SourceError
from dataio.ingest.sources import folder, images, omniaudio, synthetic, yt360
from dataio.ingest.sources.album import Album, Picture
from dataio.ingest.sources.recording import Ear, Found, Recording, Refused

__all__ = ["LAYOUTS", "Album", "Ear", "Found", "Picture", "Recording", "Refused", "SourceError", "detect", "find", "layout_of"]

_READERS: dict[str, Callable[..., list[Found]]] = {
    "folder": folder.recordings,
    "omniaudio": omniaudio.recordings,
    "yt360": yt360.recordings,
    "synthetic": synthetic.recordings,
}
LAYOUTS = ("auto", "folder", "omniaudio", "yt360", "images", "synthetic")


def detect(root: Path) -> str:
    """The layout of this source folder: the first whose marks it bears, and `folder` if none."""
    if (root / synthetic.MARKER).is_file():
        return "synthetic"
    if any(omniaudio.is_scene(path) for path in root.iterdir()):
        return "omniaudio"
    if yt360.is_yt360(root):
        return "yt360"
    return "images" if images.is_images(root) else "folder"


def layout_of(root: Path, layout: str) -> str:
    """The layout asked for, or for `auto` the one detected.

    Raises:
        SourceError: no such folder, an empty folder, or an unknown layout.
    """
    if layout not in LAYOUTS:
        raise SourceError(f"layout={layout!r} is unknown; the layouts are {', '.join(LAYOUTS)}")
    if not root.is_dir():
        raise SourceError(f"the source {root} {'is no folder' if root.exists() else 'does not exist'}")
    if not any(root.iterdir()):
        raise SourceError(f"the source {root} is empty")
    return detect(root) if layout == "auto" else layout


def find(root: Path, layout: str, *, allow_mono: bool = False) -> list[Found]:
    """Every recording below `root`, usable or refused, in an order that depends on the names alone.

    Raises:
        SourceError: as `layout_of`; nothing in it that the layout knows; or it holds pictures, which `images.albums` finds.
    """
    layout = layout_of(root, layout)
    if layout not in _READERS:
        raise SourceError(f"{root} is read as a set of images, which has albums and no recordings")
    return _READERS[layout](root, allow_mono=allow_mono)
