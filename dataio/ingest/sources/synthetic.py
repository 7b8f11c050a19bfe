"""Scenes as `sonosphere shards synth` writes them: a folder each, four pairs, and a video of class ids."""

from pathlib import Path

from dataio.format.clip import PAIRS
from dataio.ingest.errors import SourceError
from dataio.ingest.sources.recording import Ear, Found, Recording, Refused

MARKER = "synthetic.json"


def recordings(root: Path, *, allow_mono: bool) -> list[Found]:
    """Every scene folder below `root`, in the order of the names. `allow_mono` changes nothing: scenes are never mono.

    Raises:
        SourceError: there is no scene.
    """
    folders = sorted(path for path in root.glob("scene-*") if path.is_dir())
    if not folders:
        raise SourceError(f"{root} holds {MARKER} but no scene folder")
    return [_recording(folder) for folder in folders]


def _recording(folder: Path) -> Found:
    files = [folder / "video.mp4", folder / "classes.mkv", *(folder / f"{pair}.wav" for pair in PAIRS)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        return Refused(folder.name, f"{folder.name} lacks {', '.join(missing)}")
    pairs = {pair: (Ear(folder / f"{pair}.wav", 0), Ear(folder / f"{pair}.wav", 1)) for pair in PAIRS}
    return Recording(folder.name, files[0], pairs, classes=files[1])
