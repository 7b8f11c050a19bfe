"""`verify` finds every flipped bit, names where it lies, and finds nothing where nothing was flipped."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from dataio.audit.frames import check_copied
from dataio.audit.verify import shards_of, verify
from dataio.format import index, manifest
from dataio.ingest.encode.copy import copied
from dataio.ingest.executors import local
from dataio.ingest.media.container import probe
from tests.media import make_video, numbered


def problems(folder: Path, deep: bool = False) -> list[str]:
    return [str(problem) for problem in verify(folder, local(1), deep=deep).problems]


@pytest.fixture
def copy(shards, tmp_path) -> Path:
    return shutil.copytree(shards, tmp_path / "copy")


def flip(path: Path, byte: int, bit: int) -> None:
    with open(path, "r+b") as file:
        file.seek(byte)
        value = file.read(1)[0]
        file.seek(byte)
        file.write(bytes([value ^ 1 << bit]))


def test_a_right_set_is_right(shards):
    audit = verify(shards, local(1), deep=True)
    found = manifest.load(shards)
    assert audit.problems == []
    assert (audit.shards, audit.clips, audit.members) == (len(found), 24, 24 * 10)
    assert audit.bytes == sum(path.stat().st_size for path in shards.glob("*.tar"))


def test_every_flipped_bit_is_reported(copy):
    """At random places of every kind of file, one at a time; even in padding, because whole files carry checksums."""
    draw = random.Random(0)
    files = sorted(path for path in copy.iterdir() if path.name != "build.json")
    for kind in (".tar", ".idx", ".npz"):
        for _ in range(40):
            path = draw.choice([path for path in files if path.suffix == kind])
            place = draw.randrange(path.stat().st_size), draw.randrange(8)
            flip(path, *place)
            assert problems(copy), f"bit {place} of {path.name} was not noticed"
            flip(path, *place)
    assert not problems(copy)


def test_damage_is_named_to_the_member_and_the_block(copy):
    found = manifest.load(copy)
    entry = index.load(copy / f"{found.name(0)}.npz", "x")
    member = int(entry.column("back.wav")[1])
    offset = int(entry.members["offset"][member]) + 3 * index.BLOCK + 17
    flip(copy / f"{found.name(0)}.tar", offset, 0)
    said = problems(copy)
    key = entry.clips["key"][1].decode()
    assert any(f"{key}.back.wav" in line and "block 3" in line for line in said)
    assert any("does not match its checksum in the manifest" in line for line in said)


def test_missing_and_stray_files(copy):
    found = manifest.load(copy)
    (copy / f"{found.name(0)}.idx").unlink()
    (copy / "notes.txt").write_text("mine")
    said = problems(copy)
    assert any(f"{found.name(0)}.idx: cannot be read" in line for line in said)
    assert any("notes.txt: is not part of the set" in line for line in said)


def test_files_of_the_system_are_no_problem(copy):
    (copy / "lost+found").mkdir()
    (copy / ".nfs0000000000a1b2c3").write_text("")
    (copy / ".DS_Store").write_text("")
    assert verify(copy, local(1), deep=True).as_dict()["ok"]
    (copy / "DS_Store").write_text("")
    assert problems(copy) == ["DS_Store: is not part of the set"]


def test_a_workspace_that_was_left_is_told_of_and_is_no_problem(copy):
    (copy / ".build").mkdir()
    (copy / ".build" / "plan.json").write_text("{}")
    audit = verify(copy, local(1))
    assert audit.problems == []
    assert [str(note) for note in audit.notes] == [
        ".build: left by a build that was killed at its end: run the same build once more"
    ]
    assert audit.as_dict()["notes"][0]["file"] == ".build"
    assert verify(copy, local(1)).as_dict()["ok"]


def test_deep_decodes_what_checksums_cannot_judge(shards, tmp_path):
    """A set whose checksums are all right but whose content is not: pictures of another size than the manifest says."""
    from dataclasses import replace

    copy = shutil.copytree(shards, tmp_path / "wrong")
    found = manifest.load(copy)
    wrong = replace(found, media=replace(found.media, size=(64, 128), clip_seconds=3.0))
    (copy / manifest.FILE).write_bytes(wrong.dump())
    assert problems(copy) == ["manifest.npz: its fingerprint is not that of its content"]
    forged = manifest.build(list(shards_of(found)), wrong.media, found.mean_rms, found.options)
    (copy / manifest.FILE).write_bytes(forged.dump())
    assert problems(copy) == []
    said = problems(copy, deep=True)
    assert any("a picture of 32x64; expected 64x128" in line for line in said)
    assert any("the clip lasts 2.0 s" in line for line in said)
    assert any("front.wav" in line and "expected" in line for line in said)


def trimmed(path: Path, frames: int = 7) -> Path:
    """A recording cut in the middle of a group, without encoding it again: an edit list says how much is not shown."""
    whole = make_video(path.with_stem("whole"), (numbered(k, 32, 64) for k in range(110)), fps=25, gop=20, b_frames=2)
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        video = source.streams.video[0]
        out, step = container.add_stream_from_template(video, opaque=True), video.duration // 110
        for packet in source.demux(video):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts - frames * step, packet.dts - frames * step, out
                container.mux(packet)
    return path


COPIES: dict[str, Callable[[Path], Path]] = {
    "an edit list": lambda folder: trimmed(folder / "a.mp4"),
    "B-frames in MP4": lambda f: make_video(f / "b.mp4", shown(), fps=25, gop=12, b_frames=3, start=3.0),
    "B-frames in Matroska": lambda f: make_video(f / "c.mkv", shown(), fps=30000 / 1001, gop=30, b_frames=2),
    "VP9 that starts late": lambda f: make_video(f / "d.mkv", shown(), fps=60000 / 1001, codec="libvpx-vp9", start=1.234),
    "VP9 in MP4": lambda f: make_video(f / "e.mp4", shown(), fps=60000 / 1001, codec="libvpx-vp9", gop=25),
    "a rate that varies": lambda f: make_video(f / "g.mkv", shown(), times=[k / 25 + 0.013 * (k % 3) for k in range(110)], gop=9),
}


def shown() -> Iterator[np.ndarray]:
    return (numbered(k, 32, 64) for k in range(110))


@pytest.mark.parametrize("kind", COPIES)
def test_what_is_said_of_copied_clips_is_right(tmp_path, kind):
    path = COPIES[kind](tmp_path)
    for seconds in (0.5, 0.7):
        clips = list(copied(path, seconds, 9))
        assert clips and any(clip.offset > 0 for clip in clips)
        for i, clip in enumerate(clips):
            facts = {"offset": clip.offset, "start": i * seconds, "frame_times": [round(t, 6) for t in clip.frame_times]}
            assert list(check_copied(probe(clip.data).times, facts)) == []
            for moved in (clip.offset + 0.005, clip.offset - 0.005):
                assert list(check_copied(probe(clip.data).times, facts | {"offset": moved}))


def test_two_workers_find_the_same(copy):
    flip(copy / f"{manifest.load(copy).name(1)}.tar", 5000, 3)
    assert [str(p) for p in verify(copy, local(2)).problems] == problems(copy)


def test_no_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished shard set"):
        verify(tmp_path, local(1))
