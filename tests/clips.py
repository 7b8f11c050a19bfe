"""What the builder makes of recordings, taken apart for tests."""

import io
import json
import tarfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataio.format.clip import frame_extension
from dataio.ingest.encode import EncodeOptions, encode
from dataio.ingest.sources import Recording, SourceError, find


@dataclass(frozen=True)
class Stored:
    """One clip. json: its facts. frames: (F, H, W, 3) uint8. pcm: pair → (samples, 2) int16. members: extension → bytes."""

    json: dict[str, Any]
    frames: np.ndarray
    pcm: dict[str, np.ndarray]
    members: dict[str, bytes]


def take_apart(members: dict[str, bytes]) -> Stored:
    """The members of one clip, decoded."""
    facts = json.loads(members["json"])
    count = sum(extension.endswith(".jpg") for extension in members)
    frames = np.array([Image.open(io.BytesIO(members[frame_extension(i)])).convert("RGB") for i in range(count)])
    pcm = {}
    for extension, data in members.items():
        if extension.endswith(".wav"):
            with wave.open(io.BytesIO(data)) as file:
                assert file.getsampwidth() == 2
                assert file.getframerate() == facts["sound_rate"]
                pcm[extension.removesuffix(".wav")] = np.frombuffer(file.readframes(-1), "<i2").reshape(-1, file.getnchannels())
    return Stored(facts, frames, pcm, members)


def recording_in(folder: Path, **options: Any) -> Recording:
    """The only recording of a folder; raises SourceError with the reason where it is refused."""
    (found,) = find(folder, "auto", **options)
    if not isinstance(found, Recording):
        raise SourceError(found.reason)
    return found


def clips_of(folder: Path, options: EncodeOptions = EncodeOptions(), *, allow_mono: bool = False) -> list[Stored]:
    """The clips of the only recording in a folder."""
    spool = io.BytesIO()
    encoded = encode(recording_in(folder, allow_mono=allow_mono), options, folder, spool)
    data = spool.getvalue()
    return [take_apart({m.extension: data[m.offset : m.offset + m.length] for m in clip.members}) for clip in encoded.clips]


def members_in(shards: Path) -> dict[str, dict[str, bytes]]:
    """Key → extension → bytes of all that a shard set holds, as plain tarfile finds it."""
    clips: dict[str, dict[str, bytes]] = {}
    for path in sorted(shards.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                clips.setdefault(key, {})[extension] = tar.extractfile(member).read()
    return clips


def clips_in(shards: Path) -> dict[str, Stored]:
    """Every clip of a shard set, by key, decoded."""
    return {key: take_apart(members) for key, members in members_in(shards).items()}


def contents(out: Path) -> dict[str, bytes]:
    """Every file below a folder but the report, which says whether the build was resumed."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name != "build.json"
    }
