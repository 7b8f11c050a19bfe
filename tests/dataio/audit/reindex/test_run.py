"""Indexes made from tars alone: those of our builder come back byte for byte, and those of others are read by others."""

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from dataio.audit.reindex import reindex
from dataio.audit.verify import verify
from dataio.format import index, manifest, writer
from dataio.format.folder import LocalFolder
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings
from tests.shards import make_shards

NOISE = np.random.default_rng(0).bytes(2**17)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of our builder's: one split, several shards; tests copy it."""
    return make_shards(tmp_path_factory.mktemp("built"), split="train=1")


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "copy")


def indexes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".idx", ".npz", ".wds")}


def forget(folder: Path) -> None:
    for name in indexes(folder):
        (folder / name).unlink()


def write(path: Path, members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def test_indexes_of_our_own_sets_come_back_to_the_byte(built: Path, copy: Path) -> None:
    before, old = indexes(copy), manifest.load(copy)
    forget(copy)
    report = reindex(copy, local(1))
    after, new = indexes(copy), manifest.load(copy)
    assert report["ok"] and report["written"] and len(old) > 2
    assert {k: v for k, v in after.items() if k != manifest.FILE} == {k: v for k, v in before.items() if k != manifest.FILE}
    assert (new.media, new.splits, new.fingerprint) == (old.media, old.splits, old.fingerprint)
    assert new.mean_rms == old.mean_rms
    assert new.recordings.tolist() == old.recordings.tolist()
    assert all((new.shards[column] == old.shards[column]).all() for column in old.shards)
    assert verify(copy, local(1), deep=True).problems == []
    assert {path.name: path.read_bytes() for path in copy.glob("*.tar")} == {p.name: p.read_bytes() for p in built.glob("*.tar")}


def test_an_intact_set_is_left_as_it_is(copy: Path) -> None:
    before = indexes(copy)
    assert reindex(copy, local(1))["ok"]
    assert indexes(copy) == before


def test_workers_change_nothing(copy: Path) -> None:
    forget(copy)
    reindex(copy, local(1))
    alone = indexes(copy)
    forget(copy)
    seen = []
    reindex(copy, local(2), on_tar=lambda done, total: seen.append((done, total)))
    assert indexes(copy) == alone
    assert seen == [(i + 1, len(seen)) for i in range(len(list(copy.glob("*.tar"))))]


def flip(path: Path, byte: int) -> None:
    with open(path, "r+b") as file:
        file.seek(byte)
        value = file.read(1)[0]
        file.seek(byte)
        file.write(bytes([value ^ 1]))


def test_a_damaged_tar_is_not_declared_right(copy: Path) -> None:
    found = manifest.load(copy)
    name = found.name(1)
    entry = index.load(copy / f"{name}.npz", name)
    flip(copy / f"{name}.tar", int(entry.members["offset"][0]) + 100)
    before = indexes(copy)
    report = reindex(copy, local(1))
    assert (report["ok"], report["written"]) == (False, False)
    assert (
        list(report["refused"]) == [f"{name}.tar"] and "is not the one that manifest.npz names" in report["refused"][f"{name}.tar"]
    )
    assert indexes(copy) == before
    report = reindex(copy, local(1), replace=True)
    assert report["ok"] and report["written"]
    assert verify(copy, local(1)).problems == []
    assert manifest.load(copy).fingerprint != found.fingerprint


def test_a_manifest_that_stays_keeps_the_indexes_that_it_names(copy: Path) -> None:
    """One tar is damaged. Of another the idx is lost: it comes back, because it is the very one that the manifest names."""
    found = manifest.load(copy)
    flip(copy / f"{found.name(1)}.tar", 100_000)
    before = indexes(copy)
    (copy / f"{found.name(0)}.idx").unlink()
    columns = dict(found.shards) | {"index_crc": found.shards["index_crc"] ^ np.uint32(1)}  # as if another version had made them
    write(copy / "new.tar", {"a.txt": b"1"})
    assert not reindex(copy, local(1))["written"]
    assert {name: data for name, data in indexes(copy).items() if not name.startswith("new.")} == before
    assert sorted(set(indexes(copy)) - set(before)) == ["new.idx", "new.npz"]
    (copy / manifest.FILE).write_bytes(replace(found, shards=columns).dump())
    (copy / f"{found.name(0)}.idx").unlink()
    reindex(copy, local(1))
    assert not (copy / f"{found.name(0)}.idx").exists()


def test_killed_in_the_middle_and_started_again(copy: Path) -> None:
    """Nothing has a name before all have theirs, and what the dead left behind goes."""
    before, tars = indexes(copy), sorted(copy.glob("*.tar"))
    forget(copy)
    code = f"""
import os, signal
from pathlib import Path
from dataio.audit.reindex import reindex
from dataio.ingest.executors import local
reindex(Path({str(copy)!r}), local(1), on_tar=lambda done, total: done == total and os.kill(os.getpid(), signal.SIGKILL))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert not indexes(copy) and len(list(copy.glob(".*.tmp"))) == 2 * len(tars)
    reindex(copy, local(1))
    assert not list(copy.glob(".*"))
    same = {name: data for name, data in before.items() if name != manifest.FILE}
    assert {name: data for name, data in indexes(copy).items() if name != manifest.FILE} == same


def test_a_missing_tar_is_not_forgotten(copy: Path) -> None:
    name = manifest.load(copy).name(0)
    (copy / f"{name}.tar").unlink()
    before = indexes(copy)
    report = reindex(copy, local(1))
    assert not report["written"] and "is not there" in report["refused"][f"{name}.tar"]
    assert indexes(copy) == before
    assert reindex(copy, local(1), replace=True)["shards"] == len(list(copy.glob("*.tar")))


def test_headers_alone(copy: Path) -> None:
    old = manifest.load(copy)
    with pytest.raises(ValueError, match=r"manifest\.npz holds checksums, which headers alone cannot give"):
        reindex(copy, local(1), headers_only=True)
    full = {shard: index.load(copy / f"{old.name(shard)}.npz", "x") for shard in range(len(old))}
    idx = {name: data for name, data in indexes(copy).items() if name.endswith(".idx")}
    report = reindex(copy, local(1), headers_only=True, replace=True)
    new = manifest.load(copy)
    assert not report["checksums"] and new.media == old.media and new.mean_rms == old.mean_rms
    assert not new.shards["crc"].any() and not new.options.get("split")
    assert {name: data for name, data in indexes(copy).items() if name.endswith(".idx")} == idx
    for shard, entry in full.items():
        bare = index.load(copy / f"{old.name(shard)}.npz", "x")
        assert not bare.checksums and not bare.members["crc"].any() and not len(bare.block_crc)
        for column in set(entry.members) - {"crc", "block"}:
            assert (bare.members[column] == entry.members[column]).all(), column
    assert reindex(copy, local(1))["checksums"]
    assert manifest.load(copy).fingerprint == old.fingerprint


def test_the_clips_say_their_split_and_the_manifest_before_the_option(tmp_path: Path) -> None:
    for name, split in (("a", "val"), ("b", None), ("c", 7)):
        facts = {"start": 4.5, "seconds": 2.0} | ({"split": split} if split else {})
        write(tmp_path / f"{name}.tar", {f"walk-00000{i}.json": json.dumps(facts).encode() for i in range(2)})
    reindex(tmp_path, local(1), split="test")
    assert manifest.load(tmp_path).splits == ("test", "val")
    reindex(tmp_path, local(1), split="other")
    found = manifest.load(tmp_path)
    assert found.splits == ("test", "val") and found.shards["split"].tolist() == [1, 0, 0]
    assert found.media == manifest.Media(2.0, 0, (0, 0), 0, (), "", "")
    entry = index.load(tmp_path / "a.npz", "a")
    assert entry.clips["start"].tolist() == [4.5, 4.5] and entry.recordings == ("walk",)


def test_one_broken_tar_does_not_stop_the_others(tmp_path: Path) -> None:
    good = write(tmp_path / "good.tar", {"a.txt": b"1", "b.txt": b"2"})
    cut = write(tmp_path / "cut.tar", {"a.txt": NOISE[:5000]})
    cut.write_bytes(cut.read_bytes()[:3000])
    write(tmp_path / "twice.tar", {"a.txt": b"1", "b.txt": b"2", "./c": b"3", "a.cls": b"4"})
    write(tmp_path / "manifest.tar", {"a.txt": b"1"})
    write(tmp_path / "nothing.tar", {"README": b"1", ".hidden": b"2"})
    mixed = {f"a{i}.json": json.dumps({"split": split}).encode() for i, split in enumerate(["train", "val"])}
    write(tmp_path / "mixed.tar", mixed)
    (tmp_path / "folder.tar").mkdir()
    report = reindex(tmp_path, local(1))
    assert report["refused"] == {
        "cut.tar": "cut.tar, byte 0: the archive is cut off",
        "manifest.tar": "manifest.tar: its index would be called manifest.npz: rename it",
        "mixed.tar": "mixed.tar: holds clips of the splits train, val; a shard has one",
        "nothing.tar": "nothing.tar: holds no sample: no file in it has a name and an extension",
        "twice.tar": "twice.tar, byte 3072: a member of a sample that is not adjacent to the others with its key",
    }
    assert report["written"] and not report["ok"]
    assert [manifest.load(tmp_path).name(0)] == [good.stem] and report["clips"] == 2
    assert sorted(indexes(tmp_path)) == ["good.idx", "good.npz", "manifest.npz"]


def test_extensions_that_are_names_are_refused(tmp_path: Path) -> None:
    """A tar of frames called `video.000001.jpg` makes a table that no memory holds."""
    members = {f"{i:05d}.{i:05d}.x": b"" for i in range(9000)}
    write(tmp_path / "a.tar", members, tarfile.USTAR_FORMAT)
    with pytest.raises(ValueError, match=r"not one tar of .*has 9000 extensions over 9000 samples"):
        reindex(tmp_path, local(1))
    assert not indexes(tmp_path)


def test_nothing_to_index(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no tar"):
        reindex(tmp_path, local(1))
    with pytest.raises(FileNotFoundError, match="is no folder"):
        reindex(tmp_path / "nowhere", local(1))


def test_a_folder_that_cannot_be_written_keeps_its_manifest(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, while the second tar's index is written."""
    before = (copy / manifest.FILE).read_bytes()
    forget(copy)
    (copy / manifest.FILE).write_bytes(before)
    second = manifest.load(copy).name(1)
    (copy / f"{second}.npz").mkdir()  # a rename onto a folder fails for root too
    with pytest.raises(OSError, match=second):
        reindex(copy, local(1))
    assert (copy / manifest.FILE).read_bytes() == before
    assert not list(copy.glob(".*"))


# --- tars of others


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((24, 32, 3), value, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards by webdataset's own writer, with names in several scripts, indexed."""
    folder = tmp_path_factory.mktemp("foreign")
    with webdataset.ShardWriter(str(folder / "set-%03d.tar"), maxcount=5, verbose=0) as sink:
        for i, name in enumerate(["a", "b/c", "été", "水", "n" * 150, "with space", "d_1", "e", "f", "g", "h"]):
            sink.write({"__key__": f"{name}{i}", "jpg": jpeg(20 * i), "cls": str(i), "meta.json": json.dumps({"i": i}).encode()})
    reindex(folder, local(1))
    return folder


def test_media_of_foreign_tars(foreign: Path) -> None:
    found = manifest.load(foreign)
    assert found.media == manifest.Media(
        0.0, 0, (0, 0), 0, (), "still", ""
    )  # as of our own image sets, whose pictures differ in size
    assert found.splits == ("train",) and found.mean_rms == {} and found.clips == 11
    assert [slug.decode() for slug in found.recordings] == [found.name(i) for i in range(len(found))]
    assert verify(foreign, local(1)).problems == []


def test_webdataset_and_dali_read_the_same_samples(foreign: Path) -> None:
    import nvidia.dali.fn as fn
    from nvidia.dali import pipeline_def

    tars = sorted(map(str, foreign.glob("*.tar")))
    expected = [(s["jpg"], s["cls"]) for s in webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)]
    by_key = [s["__key__"] for s in webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)]

    @pipeline_def(batch_size=1, num_threads=1, device_id=None)
    def pipeline():
        paths = [path.removesuffix(".tar") + ".idx" for path in tars]
        return tuple(fn.readers.webdataset(paths=tars, index_paths=paths, ext=["jpg", "cls"], missing_component_behavior="error"))

    pipe = pipeline()
    pipe.build()
    read = [tuple(bytes(part.at(0)) for part in pipe.run()) for _ in expected]
    assert read == expected
    ours = [key.decode() for path in tars for key in index.load(Path(path).with_suffix(".npz"), "x").clips["key"]]
    assert ours == by_key


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_same_offsets_as_wds2idx(tmp_path: Path, form: int) -> None:
    from wds2idx import IndexCreator

    members = {f"dir/{i:03d}.{kind}": NOISE[: 300 * i] for i in range(20) for kind in ("jpg", "seg.png", "txt")}
    path = write(tmp_path / "a.tar", members | {f"dir/{'n' * 80}.txt": b"x"}, form)
    with IndexCreator(str(path), str(tmp_path / "theirs"), verbose=False) as creator:
        creator.create_index()
    reindex(tmp_path, local(1))
    assert (tmp_path / "a.idx").read_text() == (tmp_path / "theirs").read_text()


def test_facts_and_blocks_as_the_writer_would_have_them(tmp_path: Path, built: Path) -> None:
    """The same clips written by our writer under other names, PAX headers between them: only offsets may differ."""
    source = sorted(built.glob("*.tar"))[0]
    with tarfile.open(source) as tar:
        members = {f"é/{m.name}": tar.extractfile(m).read() for m in tar}
    write(tmp_path / "a.tar", members)
    reindex(tmp_path, local(1))
    theirs, ours = index.load(source.with_suffix(".npz"), "x"), index.load(tmp_path / "a.npz", "x")
    assert ours.extensions == theirs.extensions and (ours.block_crc == theirs.block_crc).all()
    assert [key.decode() for key in ours.clips["key"]] == [f"é/{key.decode()}" for key in theirs.clips["key"]]
    for column in set(ours.members) - {"offset"}:
        assert (ours.members[column] == theirs.members[column]).all(), column


def test_json_that_lies_is_not_believed(tmp_path: Path) -> None:
    nasty = [
        '{"start": 1e999}',
        '{"start": "x"}',
        "[" * 5000,
        '{"start": true}',
        "null",
        '{"rms": {"front.L": NaN}}',
        "",
        "{",
        "\\xff",
    ]
    nasty += [
        '{"start": ' + "9" * 400 + "}",
        '{"rms": 3, "seconds": [], "frame_times": 4, "split": {}, "picture": 1}',
        '{"start": -2}',
    ]
    write(tmp_path / "a.tar", {f"a-{i:06d}.json": text.encode() for i, text in enumerate(nasty)})
    assert reindex(tmp_path, local(1))["ok"]
    assert index.load(tmp_path / "a.npz", "a").clips["start"].tolist() == [0.0] * (len(nasty) - 1) + [-2.0]
    assert manifest.load(tmp_path).mean_rms == {}


def test_an_index_by_the_writer_is_the_index_by_the_walk(tmp_path: Path) -> None:
    """Clips without json or sound, a clip that lacks a member, an empty member: through the writer, then from the tar alone."""
    segments = []
    for i in range(3):
        segment = writer.SegmentWriter(f"r{i}-00000{i}")
        for j in range(3):
            if (i, j) != (1, 1):
                segment.add(f"k{j}.txt", NOISE[: 700 * j * i])
        segments.append(segment.finish(f"r{i}", 0.0))
    shard = writer.write_shard(LocalFolder(tmp_path), "clips-000000", "train", segments)
    before = indexes(tmp_path)
    report = reindex(tmp_path, local(1))
    assert {name: data for name, data in indexes(tmp_path).items() if name != manifest.FILE} == before
    assert report["fingerprint"] == manifest.build([shard], manifest.load(tmp_path).media, {}, {}).fingerprint


FORMS = {
    "h264, flac": EncodeOptions(size=(32, 64), fps=2.0, rate=48_000, frames="h264", sound="flac"),
    "vp9": EncodeOptions(size=(32, 64), fps=2.0, rate=48_000, frames="vp9"),
    "copy": EncodeOptions(size=(32, 64), fps=2.0, rate=48_000, frames="copy"),
    "flow and mask": EncodeOptions(size=(32, 64), fps=2.0, rate=48_000, flow=True, mask=True),
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder, recordings=3, seconds=4.0, seed=3, size=(32, 64))
    return folder


def comes_back(source: Path, out: Path, options: BuildOptions) -> None:
    build(source, out, options, local(1))
    before, old = indexes(out), manifest.load(out)
    forget(out)
    assert reindex(out, local(1))["ok"]
    new = manifest.load(out)
    assert new.media == old.media
    assert {k: v for k, v in indexes(out).items() if k != manifest.FILE} == {k: v for k, v in before.items() if k != manifest.FILE}
    assert (new.fingerprint, new.splits, new.mean_rms) == (old.fingerprint, old.splits, old.mean_rms)
    assert new.recordings.tolist() == old.recordings.tolist()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_clip_comes_back(form: str, recordings: Path, tmp_path: Path) -> None:
    comes_back(recordings, tmp_path / "out", BuildOptions(FORMS[form], split="train=0.67,val=0.33"))


def test_an_image_set_comes_back(tmp_path: Path) -> None:
    for i in range(12):
        path = tmp_path / "source" / ("train" if i % 3 else "val") / ("cat", "dog é")[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(20 * i))
    comes_back(tmp_path / "source", tmp_path / "out", BuildOptions(layout="images"))
    assert manifest.load(tmp_path / "out").media.classes == ("cat", "dog é")
