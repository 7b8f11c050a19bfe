"""A folder of videos with sound files beside them, paired by name.

    walk.mp4 + walk.wav                        the front pair
    walk.mp4 + walk.front.wav, walk.back.wav   several pairs
    walk.mp4                                   its own track, if that has two channels

Sub-folders are searched; a recording is called by its path below the source, without suffix.
"""

from collections import defaultdict
from pathlib import Path

from dataio.format.clip import PAIRS
from dataio.ingest.errors import SourceError
from dataio.ingest.media.facts import SoundFacts, sound_facts
from dataio.ingest.sources.recording import Ear, Found, Recording, Refused

VIDEO = (".mp4", ".mov", ".mkv", ".webm")
SOUND = (".wav", ".flac", ".ogg")


def recordings(root: Path, *, allow_mono: bool) -> list[Found]:
    """Every video below `root`, in the order of the names, with its ears; or why it cannot be used.

    Raises:
        SourceError: there is no video at all.
    """
    by_stem: dict[tuple[Path, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    videos = []
    for path in sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")):
        if path.suffix.lower() in VIDEO:
            videos.append(path)
        elif path.suffix.lower() in SOUND:
            stem, _, tail = path.stem.rpartition(".")
            pair, stem = (tail, stem) if stem and tail in PAIRS else ("front", path.stem)
            by_stem[path.parent, stem][pair].append(path)
    if not videos:
        raise SourceError(f"{root} holds no video ({', '.join(VIDEO)})")
    return [_recording(root, video, by_stem.get((video.parent, video.stem), {}), allow_mono) for video in videos]


def _recording(root: Path, video: Path, sounds: dict[str, list[Path]], allow_mono: bool) -> Found:
    name = video.relative_to(root).with_suffix("").as_posix()
    pairs, mono = {}, False
    for pair in PAIRS:
        files = sounds.get(pair, [])
        if len(files) > 1:
            return Refused(name, f"{name}: two sounds for the {pair} pair: {', '.join(f.name for f in files)}")
        for file in files:
            try:
                ears = _ears(file, sound_facts(file), allow_mono)
            except SourceError as error:
                return Refused(name, str(error))
            pairs[pair], mono = ears, mono or ears[0] == ears[1]
    if not pairs:
        try:
            facts = sound_facts(video)
        except SourceError as error:
            return Refused(name, f"{error}, and no sound file lies beside it")
        try:
            pairs["front"] = ears = _ears(video, facts, allow_mono)
        except SourceError as error:
            return Refused(name, str(error))
        mono = ears[0] == ears[1]
    return Recording(name, video, pairs, mono=mono)


def _ears(path: Path, facts: SoundFacts, allow_mono: bool) -> tuple[Ear, Ear]:
    if facts.channels == 2:
        return Ear(path, 0), Ear(path, 1)
    if facts.channels != 1:
        raise SourceError(f"{path.name} has {facts.channels} channels; a binaural pair has 2")
    if not allow_mono:
        raise SourceError(
            f"{path.name} is mono, which holds nothing binaural, and there is no two-channel sound beside it; "
            "--allow-mono copies it to both ears"
        )
    return Ear(path, 0), Ear(path, 0)
