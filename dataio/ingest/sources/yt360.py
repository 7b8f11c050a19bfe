"""YT-360: clips of 360° videos with first-order ambisonics, as the lists of AVSA (Morgado et al., NeurIPS 2020) fetch and cut them.

    video/{id}-{start}.mp4      10 s from second `start` of the video called `id`
    audio/{id}-{start}.m4a      its four channels W, Y, Z, X (ambiX), in a layout that calls itself 4.0
    train.txt, test.txt         an id a line; both are optional

Every clip is a recording of its own, called by its file, with the four pairs that the decoder makes of the sound. Clips of one id
are a family: no split may part them. The ids that no list names have no split of their own (the authors' lists leave out some 200).
"""

from pathlib import Path

from dataio.format.clip import PAIRS
from dataio.ingest.errors import SourceError, read_through
from dataio.ingest.media.facts import sound_facts
from dataio.ingest.sources.recording import Ear, Found, Recording, Refused

VIDEO, AUDIO = ("video", ".mp4"), ("audio", ".m4a")
"""Folder and suffix of the pictures and of the sounds."""

LISTS = {"train": "train.txt", "val": "val.txt", "test": "test.txt"}
"""Split → the file in the source folder that lists its ids."""

CHANNELS = 4


def is_yt360(root: Path) -> bool:
    """Whether both folders are there, with at least one file each of the kind that belongs in it."""
    return any(_files(root, *VIDEO)) and any(_files(root, *AUDIO))


def recordings(root: Path, *, allow_mono: bool) -> list[Found]:
    """Every clip below `root`, in the order of the names. `allow_mono` changes nothing: four channels are never mono.

    Raises:
        SourceError: there is no clip, a list cannot be read, or an id is in two lists.
    """
    videos = {path.stem: path for path in _files(root, *VIDEO)}
    sounds = {path.stem: path for path in _files(root, *AUDIO)}
    if not videos and not sounds:
        raise SourceError(f"{root} holds neither video/ID-START.mp4 nor audio/ID-START.m4a")
    split_of = _lists(root)
    return [_recording(name, videos.get(name), sounds.get(name), split_of) for name in sorted(videos.keys() | sounds.keys())]


def family(name: str) -> str:
    """The id in `{id}-{start}`. It may begin with a hyphen and hold others; a name without a start is an id as a whole."""
    video, _, start = name.rpartition("-")
    return video if video and start.replace(".", "", 1).isdecimal() else name


def _recording(name: str, video: Path | None, sound: Path | None, split_of: dict[str, str]) -> Found:
    if video is None or sound is None:
        folder, suffix = VIDEO if video is None else AUDIO
        return Refused(name, f"{name} has no {folder}/{name}{suffix}")
    try:
        facts = sound_facts(sound)
    except SourceError as error:
        if error.__cause__:
            read_through([sound])
        return Refused(name, str(error))
    if facts.channels != CHANNELS:
        return Refused(name, f"{sound.name} has {facts.channels} channels; first-order ambisonics has {CHANNELS}: W, Y, Z, X")
    pairs = {pair: (Ear(sound, 2 * i), Ear(sound, 2 * i + 1)) for i, pair in enumerate(PAIRS)}
    return Recording(name, video, pairs, split=split_of.get(family(name)), ambisonic=True, family=family(name))


def _files(root: Path, folder: str, suffix: str) -> list[Path]:
    """The files of this kind in this folder, in the order of their names; none where there is no such folder."""
    if not (root / folder).is_dir():
        return []
    return sorted(path for path in (root / folder).iterdir() if path.suffix == suffix and not path.name.startswith("."))


def _lists(root: Path) -> dict[str, str]:
    """Id → split, of all ids that are listed."""
    split_of: dict[str, str] = {}
    for split, name in LISTS.items():
        try:
            ids = (root / name).read_text().split() if (root / name).is_file() else []
        except (OSError, UnicodeError) as error:
            raise SourceError(f"{name} cannot be read as a list of ids: {error}") from error
        for video in ids:
            if split_of.setdefault(video, split) != split:
                raise SourceError(f"{video} is listed both in {LISTS[split_of[video]]} and in {name}")
    return split_of
