"""OmniAudio as its authors publish it: 165 scenes of Zurich traffic, one 360° video and eight mono ear tracks each.

    scene0001/VIDEO_0001_cropped.mp4
    scene0001/LAB-T001.WAV/LAB-T001_Tr1.WAV … LAB-T001_Tr8.WAV

Tracks are numbered as on the rig: 3, 4 on the front face, 5, 6 right, 7, 8 back, 1, 2 left; even ones are left ears. A pair is made
of the ears on either side of the head that faces its way. Scenes 1 – 27 lack tracks 3 and 4, and so the right and the left pair; a
scene that lacks any other was not fetched whole, and is refused.
Scenes 1 – 114 are the authors' training split and 115 – 139 their validation split; 140 – 165 are in neither of their lists and are
taken as the test split.
"""

import re
from pathlib import Path

from dataio.ingest.errors import SourceError
from dataio.ingest.sources.listing import walk
from dataio.ingest.sources.recording import Ear, Found, Recording, Refused

TRACKS = {"front": (2, 5), "right": (4, 7), "back": (6, 1), "left": (8, 3)}
"""Pair → tracks of its left and right ear."""

_SCENE = re.compile(r"scene(\d+)")
_TRACK = re.compile(r".*_Tr([1-8])\.wav", re.IGNORECASE)
_VIDEO = re.compile(r"VIDEO_.*\.mp4", re.IGNORECASE)
_LACKING, _LAST_LACKING = {3, 4}, 27  # tracks that the first scenes lack, and the last of these
_SPLITS = ((114, "train"), (139, "val"))


def split(scene: int) -> str:
    """The authors' split of a scene, by its number."""
    return next((name for last, name in _SPLITS if scene <= last), "test")


def is_scene(folder: Path) -> bool:
    """Whether this is a scene's folder, with at least one numbered ear track in it."""
    return bool(folder.is_dir() and _SCENE.fullmatch(folder.name) and any(_TRACK.fullmatch(entry.name) for entry in walk(folder)))


def recordings(root: Path, *, allow_mono: bool) -> list[Found]:
    """Every scene below `root`, in the order of the numbers. `allow_mono` changes nothing: ears are mono files by nature.

    Raises:
        SourceError: there is no scene folder.
    """
    folders = {path: int(match[1]) for path in root.iterdir() if path.is_dir() and (match := _SCENE.fullmatch(path.name))}
    if not folders:
        raise SourceError(f"{root} holds no folder scene0001, scene0002, …")
    return [_recording(folder, folders[folder]) for folder in sorted(folders, key=lambda path: (folders[path], path.name))]


def _recording(folder: Path, scene: int) -> Found:
    files = sorted(path for entry in walk(folder) if (path := Path(entry.path)).is_file())
    videos = [path for path in files if _VIDEO.fullmatch(path.name) and "split_videos" not in path.parts]
    if len(videos) != 1:
        what = f"{len(videos)} videos ({', '.join(v.name for v in videos[:3])})" if videos else "no video VIDEO_…_cropped.mp4"
        return Refused(folder.name, f"{folder.name} holds {what}")
    tracks: dict[int, Path] = {}
    for path in files:
        if match := _TRACK.fullmatch(path.name):
            if int(match[1]) in tracks:
                return Refused(
                    folder.name, f"{folder.name} holds track {match[1]} twice: {tracks[int(match[1])].name} and {path.name}"
                )
            tracks[int(match[1])] = path
    missing = set(range(1, 9)) - tracks.keys()
    if missing and not (scene <= _LAST_LACKING and missing == _LACKING):
        names = ", ".join(map(str, sorted(missing)))
        return Refused(folder.name, f"{folder.name} lacks track {names}; scenes 1 to {_LAST_LACKING} may lack 3 and 4 only")
    pairs = {pair: (Ear(tracks[a], 0), Ear(tracks[b], 0)) for pair, (a, b) in TRACKS.items() if a in tracks and b in tracks}
    return Recording(folder.name, videos[0], pairs, split=split(scene))
