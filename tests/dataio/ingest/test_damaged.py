"""Whatever is wrong with a file, the builder says so in a sentence or makes whole clips of it: nothing else ever comes out."""

import io
import random
import shutil
from pathlib import Path

import pytest

from dataio.ingest import sources
from dataio.ingest.encode import EncodeOptions, encode
from dataio.ingest.errors import SourceError
from dataio.ingest.sources import Recording
from tests.media import make_sound, make_video, noise, numbered

OPTIONS = EncodeOptions(size=(16, 32), rate=48_000)
FILES = ("a.mp4", "b.mkv", "c.webm", "c.flac", "d.wav", "d.ogg")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording in each form."""
    folder = tmp_path_factory.mktemp("whole")
    for name, codec in {"a.mp4": "libx264", "b.mkv": "libx264", "c.webm": "libvpx-vp9", "d.mp4": "mjpeg"}.items():
        own = {"a.mp4": "aac", "b.mkv": "libopus"}.get(name)
        pictures = (numbered(k, 32, 64) for k in range(45))
        how = {"sound": noise(4.4, 48_000), "sound_codec": own} if own else {}
        make_video(folder / name, pictures, fps=10, codec=codec, **how)
    make_sound(folder / "c.flac", noise(4.4, 48_000), 48_000)
    make_sound(folder / "d.wav", noise(4.4, 48_000), 48_000)
    make_sound(folder / "d.ogg", noise(4.4, 48_000), 48_000)
    return folder


def _damage(data: bytes, seed: str) -> bytes:
    """Some bytes changed anywhere, in the head or in the tail; or the end cut off."""
    chance = random.Random(seed)
    spoiled = bytearray(data)
    where = chance.choice(["anywhere", "head", "tail", "cut"])
    if where == "cut":
        return data[: chance.randrange(len(data))]
    low, high = {"anywhere": (0, len(data)), "head": (0, min(1500, len(data))), "tail": (max(0, len(data) - 3000), len(data))}[
        where
    ]
    for _ in range(chance.choice([1, 3, 10, 100])):
        spoiled[chance.randrange(low, high)] = chance.randrange(256)
    return bytes(spoiled)


@pytest.mark.parametrize("name", FILES)
def test_damage_is_a_sentence_or_whole_clips(whole: Path, tmp_path: Path, name: str) -> None:
    ended = set()
    for seed in range(12):
        folder = tmp_path / str(seed)
        folder.mkdir()
        for path in whole.glob(f"{name[0]}.*"):
            if path.name == name or path.suffix not in (".wav", ".ogg") or name in FILES[:4]:
                shutil.copy(path, folder)
        (folder / name).write_bytes(_damage((whole / name).read_bytes(), f"{name} {seed}"))
        (found,) = sources.find(folder, "auto")
        if not isinstance(found, Recording):
            reason = found.reason
        else:
            spool = io.BytesIO()
            try:
                encoded = encode(found, OPTIONS, folder, spool)
            except SourceError as error:
                reason = str(error)
            else:
                assert 1 <= len(encoded.clips) <= 2
                assert all(len(clip.members) == 10 for clip in encoded.clips)
                blocks = (-(-m.length // 512) + 1 for clip in encoded.clips for m in clip.members)  # with the headers
                assert 512 * sum(blocks) == len(spool.getvalue())
                ended.add("clips")
                continue
        assert name[0] in reason
        assert str(tmp_path) not in reason
        ended.add("sentence")
    assert "sentence" in ended
