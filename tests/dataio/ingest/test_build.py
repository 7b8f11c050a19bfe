"""A whole build: what lies in the folder, who is in which shard, who was left out, and that nothing else decides the bytes."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataio.format import index, manifest
from dataio.format.clip import clip_key, slug
from dataio.ingest.build import BuildOptions, Progress, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.sources import SourceError
from tests.clips import clips_in
from tests.media import make_sound, make_video, noise, numbered, read_number

OPTIONS = BuildOptions(EncodeOptions(size=(32, 64), rate=48_000), split="train=0.6,val=0.4", shard_bytes=1_600_000)
CLIPS = {"one": 2, "two": 3, "far/three": 2, "four é": 3, "five": 2}


def contents(out: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The set of the source folder, and the report."""
    out = tmp_path_factory.mktemp("built") / "shards"
    return out, build(source, out, OPTIONS, local(1))


def test_the_folder_holds_the_shards_their_indexes_and_two_more_files(built) -> None:
    out, report = built
    shards = [f"clips-{i:06d}.{suffix}" for i in range(report["shards"]) for suffix in ("idx", "npz", "tar")]
    assert report["shards"] > 2  # a clip is about 390 kB
    assert list(contents(out)) == ["build.json", *shards, "manifest.npz"]


def test_every_clip_of_every_recording_is_there_once(built) -> None:
    out, report = built
    assert sorted(clips_in(out)) == sorted(clip_key(slug(name), i) for name, count in CLIPS.items() for i in range(count))
    assert (report["clips"], report["recordings"], report["skipped"], report["mono"]) == (12, 5, {}, [])
    assert report["splits"] == {s: sum(CLIPS[n] for n in _recordings_of(out, s)) for s in ("train", "val")}


def _recordings_of(out: Path, split: str) -> list[str]:
    found = manifest.load(out)
    slugs = {found.recordings[r].decode() for shard in found.select(split) for r in found.shard_recordings(shard)}
    return [name for name in CLIPS if slug(name) in slugs]


def test_a_recording_is_in_one_split_and_the_shares_are_exact(built) -> None:
    out, _ = built
    train, val = (_recordings_of(out, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (3, 2)
    assert sorted(train + val) == sorted(CLIPS)


def test_several_recordings_are_mixed_within_a_shard(built) -> None:
    out, _ = built
    found = manifest.load(out)
    for split in found.splits:
        rows = [index.load(out / f"{found.name(s)}.npz", "x") for s in found.select(split)]
        assert any(len(shard.recordings) > 1 for shard in rows)
    keys = [key.decode() for row in found.select(None) for key in index.load(out / f"{found.name(row)}.npz", "x").clips["key"]]
    assert keys != sorted(keys)


def test_shards_are_about_as_large_as_asked_and_of_equal_length(built) -> None:
    out, _ = built
    found = manifest.load(out)
    for split in found.splits:
        clips = found.shards["clips"][found.select(split)]
        assert clips.max() - clips.min() <= 1
    assert found.shards["bytes"].max() < 1.1 * OPTIONS.shard_bytes


def test_the_manifest_matches_the_files(built) -> None:
    out, report = built
    found = manifest.load(out)
    assert found.fingerprint == report["fingerprint"]
    assert found.media == manifest.Media(2.0, 8, (32, 64), 48_000, ("front",))
    for row in range(len(found)):
        for column, suffix in {"crc": "tar", "index_crc": "npz", "idx_crc": "idx"}.items():
            data = (out / f"{found.name(row)}.{suffix}").read_bytes()
            assert found.shards[column][row] == index.crc32c(data)
        shard = index.load(out / f"{found.name(row)}.npz", "x")
        assert [found.recordings[r].decode() for r in found.shard_recordings(row)] == list(shard.recordings)
        assert (found.shards["clips"][row], found.shards["bytes"][row]) == (
            len(shard),
            (out / f"{found.name(row)}.tar").stat().st_size,
        )


def test_pictures_and_levels_are_those_of_the_recordings(built) -> None:
    out, report = built
    clips = clips_in(out)
    for number, (name, count) in enumerate(CLIPS.items()):
        for i in range(count):
            clip = clips[clip_key(slug(name), i)]
            assert clip.json["recording"] == name
            assert clip.json["source"] == f"{name}.mp4"
            assert [read_number(f) for f in clip.frames] == [(40 * number + 20 * i + int(2.5 * k)) % 256 for k in range(8)]
    for ear in ("front.L", "front.R"):
        assert report["mean_rms"][ear] == pytest.approx(np.mean([clip.json["rms"][ear] for clip in clips.values()]), rel=1e-12)
    assert manifest.load(out).mean_rms == report["mean_rms"]


def test_no_path_and_no_clock_gets_into_the_files(built, source: Path, tmp_path: Path) -> None:
    out, _ = built
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(source, elsewhere)
    for path in elsewhere.rglob("*"):
        os.utime(path, (1, 1))
    build(elsewhere, tmp_path / "shards", OPTIONS, local(1))
    there, here = contents(tmp_path / "shards"), contents(out)
    reports = [json.loads(files.pop("build.json")) for files in (there, here)]
    assert there == here
    assert len({report.pop("times") for report in reports}) == 2  # the one thing that tells when files were changed, as a digest
    assert reports[0] == reports[1]
    for name, data in contents(out).items():
        for folder in (source, out, Path.home()):
            assert str(folder).encode() not in data, name


def test_two_workers_write_the_same_bytes_as_one(built, source: Path, tmp_path: Path) -> None:
    build(source, tmp_path / "shards", OPTIONS, local(2))
    assert contents(tmp_path / "shards") == contents(built[0])


def test_progress_is_told_once_a_recording(source: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    build(source, tmp_path / "shards", OPTIONS, local(1), told.append)
    assert [(p.done, p.total) for p in told] == [(i, 5) for i in range(1, 6)]
    names, clips = [p.name for p in told], np.diff([0, *(p.clips for p in told)])
    assert dict(zip(names, clips.tolist(), strict=True)) == CLIPS
    assert [p.share for p in told] == sorted(p.share for p in told) and told[-1].share == 1.0
    tars = sum(path.stat().st_size for path in (tmp_path / "shards").glob("*.tar"))
    assert 0 < told[-1].bytes < tars < told[-1].bytes + 3 * 20_480  # but for the ends of the tars


@pytest.fixture
def mixed(source: Path, tmp_path: Path) -> Path:
    """Two good recordings among several bad ones, found bad at different times."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("one.mp4", "one.wav", "two.mp4", "two.flac"):
        shutil.copy(source / name, folder)
    (folder / "text.mp4").write_text("this is no video")
    shutil.copy(source / "one.wav", folder / "text.wav")
    shutil.copy(source / "one.mp4", folder / "silent.mp4")
    shutil.copy(source / "one.mp4", folder / "noisy.mp4")
    (folder / "noisy.wav").write_text("this is no sound")
    shutil.copy(source / "two.mp4", folder / "short.mp4")
    make_sound(folder / "short.wav", noise(1.0))
    shutil.copy(source / "two.mp4", folder / "torn.mp4")
    (folder / "torn.flac").write_bytes((source / "two.flac").read_bytes()[:400_000])
    shutil.copy(source / "one.mp4", folder / f"{'long' * 20}.mp4")
    shutil.copy(source / "one.wav", folder / f"{'long' * 20}.wav")
    return folder


def test_bad_recordings_among_good_ones_are_skipped_counted_and_named(mixed: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    report = build(mixed, tmp_path / "shards", OPTIONS, local(1), told.append)
    assert sorted(report["skipped"]) == sorted(["text", "silent", "noisy", "short", "torn", "long" * 20])
    assert (report["recordings"], report["clips"]) == (2, 5)
    reasons = report["skipped"]
    assert reasons["text"] == "text.mp4 cannot be read as video: Invalid data found when processing input"
    assert reasons["short"] == "short: the sound (short.wav, 1.00 s) is shorter than the video (6.30 s) by more than a clip"
    assert reasons["torn"].startswith("torn.flac breaks off at")
    assert "80 characters; the limit is 60" in reasons["long" * 20]
    assert {p.name for p in told if p.skipped} == {"text", "short", "torn"}
    assert sorted(clips_in(tmp_path / "shards")) == [*(f"one-00000{i}" for i in range(2)), *(f"two-00000{i}" for i in range(3))]
    files = contents(tmp_path / "shards")
    assert not [name for name in files if name.endswith((".tmp", ".spool"))]
    assert all(str(tmp_path).encode() not in data for data in files.values())


def test_bad_recordings_change_nothing_for_the_good_ones(mixed: Path, tmp_path: Path) -> None:
    build(mixed, tmp_path / "with", OPTIONS, local(1))
    for path in mixed.iterdir():
        if path.stem not in ("one", "two"):
            path.unlink()
    build(mixed, tmp_path / "without", OPTIONS, local(1))
    for key, clip in clips_in(tmp_path / "with").items():
        assert clip.members == clips_in(tmp_path / "without")[key].members


def test_a_group_of_nothing_but_bad_recordings_is_no_shard(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    names = [f"r{i}" for i in range(5)]
    for name in names:
        make_sound(folder / f"{name}.wav", noise(2.2, 48_000), 48_000)
        make_video(folder / f"{name}.mp4", (numbered(k, 32, 64) for k in range(22)), fps=10)
    build(folder, tmp_path / "all", OPTIONS, local(1))
    val = manifest.load(tmp_path / "all")
    bad = {val.recordings[r].decode() for shard in val.select("val") for r in val.shard_recordings(shard)}
    assert len(bad) == 2
    for name in bad:
        (folder / f"{name}.mp4").write_text("no video any more")
    report = build(folder, tmp_path / "shards", OPTIONS, local(1))
    assert report["splits"] == {"train": 3}
    assert set(report["skipped"]) == bad


def test_no_shard_is_empty_however_small_it_should_be(tmp_path: Path, source: Path) -> None:
    options = BuildOptions(OPTIONS.encode, shard_bytes=1)
    report = build(source / "far", tmp_path / "shards", options, local(1))
    assert report["shards"] == report["clips"] == 2


def test_two_recordings_of_one_name_are_an_error_that_names_it(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for suffix in ("mp4", "mkv"):
        shutil.copy(source / "one.mp4", folder / f"one.{suffix}")
    with pytest.raises(SourceError, match="more than one recording one"):
        build(folder, tmp_path / "shards", OPTIONS, local(1))
    assert not (tmp_path / "shards").exists()


def test_a_file_name_that_is_no_utf_8_is_skipped_and_spoils_nothing(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in (b"one", b"f\xfcr", b"s\xfc\xdf"):
        for suffix in (b"mp4", b"wav") if name != b"s\xfc\xdf" else (b"mp4",):
            shutil.copy(source / f"one.{suffix.decode()}", folder / os.fsdecode(name + b"." + suffix))
    report = build(folder, tmp_path / "shards", OPTIONS, local(1))
    assert report["recordings"] == 1
    told = json.loads((tmp_path / "shards" / "build.json").read_bytes())
    assert list(told["skipped"]) == ["f\udcfcr", "s\udcfc\udcdf"]


def test_the_report_lies_beside_the_shards(built) -> None:
    out, report = built
    assert json.loads((out / "build.json").read_text()) == json.loads(json.dumps(report))
    assert report["tail_seconds"] == {name: pytest.approx(0.3, abs=0.001) for name in sorted(CLIPS)}
    encode = {"seconds": 2.0, "fps": 4.0, "size": [32, 64], "rate": 48_000, "quality": 90, "frames": "jpeg", "sound": "pcm"}
    assert report["options"]["encode"].items() >= encode.items()
    assert report["options"]["layout"] == "folder"
