"""A folder of videos with sound files beside them, paired by name.

    walk.mp4 + walk.wav                        the front pair
    walk.mp4 + walk.front.wav, walk.back.wav   several pairs
    walk.mp4                                   its own track, if that has two channels

Sub-folders are searched, but for hidden ones; a recording is called by its path below the source, without suffix. A sound that
belongs to no video is named as one that is not used.
"""

from dataclasses import replace
from pathlib import Path

from dataio.format.clip import PAIRS
from dataio.ingest.errors import SourceError, read_through
from dataio.ingest.media.facts import SoundFacts, sound_facts
from dataio.ingest.sources.claims import Claims
from dataio.ingest.sources.listing import walk
from dataio.ingest.sources.recording import Ear, Found, Recording, Refused

VIDEO = (".mp4", ".mov", ".mkv", ".webm")
SOUND = (".wav", ".flac", ".ogg")


def recordings(root: Path, *, allow_mono: bool) -> list[Found]:
    """Every video below `root`, in the order of the names, with its ears, or why it cannot be used; then the sounds of no video.

    Raises:
        SourceError: there is no video at all. OSError: the storage of the source failed.
    """
    files = sorted(path for entry in walk(root) if (path := Path(entry.path)).suffix.lower() in (*VIDEO, *SOUND) and path.is_file())
    videos = [path for path in files if path.suffix.lower() in VIDEO]
    if not videos:
        raise SourceError(f"{root} holds no video ({', '.join(VIDEO)})")
    claims = Claims(videos, [path for path in files if path.suffix.lower() in SOUND])
    found = [_recording(root, video, claims, allow_mono) for video in videos]
    taken = {recording.name for recording in found}  # a.wav.mp4 is a recording called a.wav
    return found + [replace(r, name=f"{r.name} (sound)") if r.name in taken else r for r in claims.unclaimed(root)]


def _recording(root: Path, video: Path, claims: Claims, allow_mono: bool) -> Found:
    name = video.relative_to(root).with_suffix("").as_posix()
    if alike := claims.alike(video):
        others = ", ".join(file.name for file in alike)
        return Refused(name, f"{name}: {others} beside {video.name} differs in capitals or Unicode's spelling only: rename one")
    sounds = claims.of(video)
    pairs, mono = {}, False
    for pair in PAIRS:
        files = sounds.get(pair, [])
        if len(files) > 1:
            return Refused(name, f"{name}: two sounds for the {pair} pair: {', '.join(f.name for f in files)}")
        for file in files:
            try:
                ears = _ears(file, sound_facts(file), allow_mono)
            except SourceError as error:
                return _refused(name, error, file)
            pairs[pair], mono = ears, mono or ears[0] == ears[1]
    if not pairs:
        try:
            facts = sound_facts(video)
        except SourceError as error:
            return _refused(name, error, video, ", and no sound file lies beside it")
        try:
            pairs["front"] = ears = _ears(video, facts, allow_mono)
        except SourceError as error:
            return Refused(name, str(error))
        mono = ears[0] == ears[1]
    return Recording(name, video, pairs, mono=mono)


def _refused(name: str, error: SourceError, file: Path, more: str = "") -> Refused:
    if error.__cause__:  # a library could not read it; whoever holds no sound, or mono, was read well and is not read again
        read_through([file])
    return Refused(name, f"{error}{more}")


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
