"""Shard sets of hundreds of very small clips, sound and damaged, for tests of who gets what when."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dataio.format import index, manifest
from dataio.format.clip import clip_key, frame_extension, pair_extension
from dataio.format.folder import LocalFolder
from dataio.format.writer import Segment, SegmentWriter, write_shard
from dataio.stream.spec import ClipSpec

RATE, SECONDS, SIZE, FRAMES = 8000, 0.1, (8, 16), 2
TINY = ClipSpec(frames=FRAMES, size=SIZE, sound_rate=RATE, sound_seconds=0.08, yaw_classes=4)
"""Everything that a tiny clip holds; its sound window moves within the clip."""

Damage = Callable[[bytes], bytes]


def jpeg(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """A picture that only this number has."""
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def _segment(clip: int, recordings: int, pictures: Mapping[int, Damage], sounds: Mapping[int, Damage]) -> Segment:
    recording, number = f"r{clip % recordings}", clip // recordings
    writer = SegmentWriter(clip_key(recording, number))
    for f in range(FRAMES):
        data = jpeg(FRAMES * clip + f)
        data = pictures[clip](data) if f == FRAMES - 1 and clip in pictures else data
        writer.add(frame_extension(f), data, index.Facts(height=SIZE[0], width=SIZE[1]))
    pcm = np.random.default_rng(clip).integers(-9999, 9999, (round(RATE * SECONDS), 2)).astype(np.int16)
    if clip in sounds:
        writer.add(pair_extension("front"), sounds[clip](pcm.tobytes()), index.Facts(rate=RATE, channels=2))
    else:
        writer.pcm(pair_extension("front"), pcm, RATE)
    return writer.finish(recording, number * SECONDS)


def tiny_set(
    folder: Path,
    clips: int = 200,
    *,
    recordings: int = 7,
    per_shard: int = 10,
    pictures: Mapping[int, Damage] = {},
    sounds: Mapping[int, Damage] = {},
    split: str = "train",
) -> Path:
    """A set whose clip with the global id i is number i // recordings of recording r(i mod recordings).

    pictures, sounds: what is done to the last picture or the sound of a clip before its checksum is taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for number, first in enumerate(range(0, clips, per_shard)):
        segments = [_segment(i, recordings, pictures, sounds) for i in range(first, min(first + per_shard, clips))]
        shards.append(write_shard(LocalFolder(folder), f"clips-{number:06d}", split, segments))
    media = manifest.Media(SECONDS, FRAMES, SIZE, RATE, ("front",))
    levels = {"front.L": 0.1, "front.R": 0.1}
    (folder / manifest.FILE).write_bytes(manifest.build(shards, media, levels, {}).dump())
    return folder


def member_at(shards: Path, clip: int, extension: str) -> tuple[Path, int, int]:
    """Tar, offset and length of a member of a clip by its global id."""
    found = manifest.load(shards)
    shard = int(np.searchsorted(found.first_clip, clip, side="right")) - 1
    entry = index.load(shards / f"{found.name(shard)}.npz", "index")
    member = entry.column(extension)[clip - found.first_clip[shard]]
    return shards / f"{found.name(shard)}.tar", int(entry.members["offset"][member]), int(entry.members["length"][member])


def flip(shards: Path, clip: int, extension: str, bit: int = 0) -> str:
    """Flip a bit in the middle of a member, behind the back of its checksum; returns the clip's key."""
    tar, offset, length = member_at(shards, clip, extension)
    with tar.open("r+b") as file:
        file.seek(offset + length // 2)
        byte = file.read(1)[0]
        file.seek(offset + length // 2)
        file.write(bytes([byte ^ 1 << bit]))
    found = manifest.load(shards)
    shard = int(np.searchsorted(found.first_clip, clip, side="right")) - 1
    return index.load(shards / f"{found.name(shard)}.npz", "index").clips["key"][clip - found.first_clip[shard]].decode()
