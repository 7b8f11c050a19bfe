"""What must not be touched by what looks into sets: unfinished builds, and files of others."""

from collections.abc import Iterable
from pathlib import Path

from dataio.format import index
from dataio.ingest.workspace import WORK

_LOOKED_AT = 64 * 1024  # bytes, of which the head of an index of ours fills the first few hundred
_OURS = f'"format":"{index.KIND}"'.encode()


def refuse_unfinished(folder: Path) -> None:
    """Raises ValueError if a build of this folder is running, or has stopped before its end."""
    if (folder / WORK).exists():
        raise ValueError(f"{folder} holds an unfinished build ({WORK}): run the same build to its end first")


def refuse_foreign(folder: Path, known: Iterable[str] = ()) -> None:
    """See to it that no index would be written over a file of somebody else.

    One of ours may be damaged, and is then made anew: its head tells, or the manifest does.

    Args:
        known: names of the shards that a manifest names; their `.npz` are ours, whatever they hold.

    Raises:
        ValueError: beside a NAME.tar lies a NAME.npz that is none of our indexes.
    """
    names = set(known)
    for path in sorted(folder.glob("*.tar")):
        npz = path.with_suffix(".npz")
        if path.stem in names or not npz.exists():
            continue
        if not npz.is_file() or not _is_ours(npz):
            raise ValueError(f"{npz} is no index of ours, and one would be written over it: move it elsewhere, nothing was changed")


def _is_ours(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(_LOOKED_AT)
    return not head or _OURS in head
