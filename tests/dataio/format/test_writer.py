"""A shard as others see it: tarfile, GNU tar, webdataset and DALI all find the same members, byte for byte."""

import io
import shutil
import subprocess
import sys
import tarfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dataio.format import index, manifest, writer
from dataio.format.clip import clip_key
from dataio.format.folder import LocalFolder

EXTENSIONS = ("f000.jpg", "f001.jpg", "front.wav", "json")
LENGTHS = (1, 511, 512, 513, 10_239, 10_240, 10_241, 70_000)  # around blocks, records, and blocks of checksums


def _payload(clip: int, member: int) -> bytes:
    return np.random.default_rng([clip, member]).bytes(LENGTHS[(3 * clip + member) % len(LENGTHS)])


@dataclass(frozen=True)
class Sample(writer.Segment):
    """A clip, and the bytes of its members."""

    payload: tuple[bytes, ...]


def samples(count: int = 9) -> Iterator[Sample]:
    """Clips of three recordings in mixed order."""
    for i in range(count):
        payload = tuple(_payload(i, m) for m in range(len(EXTENSIONS)))
        members = writer.SegmentWriter(clip_key("abc"[i % 3], i))
        for extension, data in zip(EXTENSIONS, payload, strict=True):
            members.add(extension, data, index.Facts(rate=96_000), index.block_checksums(data))
        segment = members.finish("abc"[i % 3], 2.0 * i)
        yield Sample(segment.clip, segment.parts, segment.size, payload)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    writer.write_shard(LocalFolder(folder), "clips-000000", "train", samples())
    writer.write_shard(LocalFolder(folder), "clips-000001", "train", samples(4))
    return folder


def _expected(count: int = 9) -> list[dict[str, bytes]]:
    return [{"__key__": s.clip.key.encode()} | dict(zip(EXTENSIONS, s.payload, strict=True)) for s in samples(count)]


def test_the_three_files_appear_and_nothing_else(folder: Path) -> None:
    names = [f"clips-00000{i}.{suffix}" for i in range(2) for suffix in ("idx", "npz", "tar")]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_tarfile_reads_the_members(folder: Path) -> None:
    with tarfile.open(folder / "clips-000000.tar") as tar:
        found = [(member.name, tar.extractfile(member).read()) for member in tar]
        about = {(m.mode, m.uid, m.gid, m.mtime, m.uname, m.gname, m.type) for m in tar}
    assert found == [(f"{s.clip.key}.{e}", d) for s in samples() for e, d in zip(EXTENSIONS, s.payload, strict=True)]
    assert about == {(0o644, 0, 0, 0, "", "", tarfile.REGTYPE)}  # no owner and no clock


def test_the_archive_ends_as_tarfile_would_end_it(folder: Path, tmp_path: Path) -> None:
    with (
        tarfile.open(folder / "clips-000000.tar") as ours,
        tarfile.open(tmp_path / "theirs.tar", "w", format=tarfile.USTAR_FORMAT) as theirs,
    ):
        for member in ours:
            theirs.addfile(member, ours.extractfile(member))
    assert (tmp_path / "theirs.tar").read_bytes() == (folder / "clips-000000.tar").read_bytes()


@pytest.mark.skipif(not shutil.which("tar"), reason="no tar on this machine")
def test_gnu_tar_lists_and_extracts_it(folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(["tar", "-xvf", folder / "clips-000000.tar", "-C", tmp_path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.split() == [f"{s.clip.key}.{e}" for s in samples() for e in EXTENSIONS]
    assert all(
        (tmp_path / f"{s.clip.key}.{e}").read_bytes() == d for s in samples() for e, d in zip(EXTENSIONS, s.payload, strict=True)
    )


def test_plain_webdataset_reads_the_shards(folder: Path) -> None:
    import webdataset

    shards = [str(folder / f"clips-00000{i}.tar") for i in range(2)]
    about = ("__url__", "__local_path__")
    found = [{k: v for k, v in s.items() if k not in about} for s in webdataset.WebDataset(shards, shardshuffle=False)]
    assert [sample | {"__key__": sample["__key__"].encode()} for sample in found] == _expected() + _expected(4)


def test_the_reader_of_dali_reads_the_shards_by_the_written_idx(folder: Path) -> None:
    from nvidia.dali import fn, pipeline_def

    paths = [str(folder / f"clips-00000{i}.tar") for i in range(2)]

    @pipeline_def(batch_size=13, num_threads=1, device_id=None)
    def members():
        return tuple(
            fn.readers.webdataset(paths=paths, index_paths=[p.replace(".tar", ".idx") for p in paths], ext=list(EXTENSIONS))
        )

    pipe = members()
    pipe.build()
    outputs = pipe.run()
    expected = _expected() + _expected(4)
    for extension, output in zip(EXTENSIONS, outputs, strict=True):
        assert [bytes(output.at(i)) for i in range(13)] == [sample[extension] for sample in expected]


def test_the_idx_is_what_dalis_own_tool_writes(folder: Path, tmp_path: Path) -> None:
    from wds2idx import IndexCreator

    with IndexCreator(str(folder / "clips-000000.tar"), str(tmp_path / "theirs.idx"), verbose=False) as creator:
        creator.create_index()
    theirs, ours = ((path).read_text().split() for path in (tmp_path / "theirs.idx", folder / "clips-000000.idx"))
    assert ours == theirs
    assert (folder / "clips-000000.idx").read_text().count("\n") == 10  # a head and nine clips, a line each


def test_offsets_and_checksums_of_our_index_match_the_bytes(folder: Path) -> None:
    data = (folder / "clips-000000.tar").read_bytes()
    shard = index.load(folder / "clips-000000.npz", "clips-000000.npz")
    assert shard.tar_bytes == len(data)
    assert [key.decode() for key in shard.clips["key"]] == [s.clip.key for s in samples()]
    for i, sample in enumerate(samples()):
        for extension, payload in zip(EXTENSIONS, sample.payload, strict=True):
            row = shard.column(extension)[i]
            offset, length = shard.members["offset"][row], shard.members["length"][row]
            assert data[offset : offset + length] == payload
            assert shard.members["crc"][row] == index.crc32c(payload)
            first, count = shard.members["block"][row], -(-len(payload) // index.BLOCK)
            blocks = [index.crc32c(payload[b * index.BLOCK : (b + 1) * index.BLOCK]) for b in range(count)]
            assert shard.block_crc[first : first + count].tolist() == blocks


def test_the_row_for_the_manifest_matches_the_files(tmp_path: Path) -> None:
    row = writer.write_shard(LocalFolder(tmp_path), "clips-000007", "val", samples())
    tar, ours, dalis = ((tmp_path / f"clips-000007.{suffix}").read_bytes() for suffix in ("tar", "npz", "idx"))
    sums = (index.crc32c(tar), index.crc32c(ours), index.crc32c(dalis))
    assert row == manifest.Shard("clips-000007", 9, len(tar), *sums, "val", ("a", "b", "c"), ("front",))


def test_the_same_samples_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    writer.write_shard(LocalFolder(tmp_path), "clips-000000", "train", samples())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes()


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_write_that_fails_half_way_leaves_no_file(tmp_path: Path, after: int) -> None:
    def failing() -> Iterator[Sample]:
        for i, sample in enumerate(samples()):
            if i == after:
                raise OSError(28, "No space left on device")
            yield sample

    with pytest.raises(OSError, match="No space left"):
        writer.write_shard(LocalFolder(tmp_path), "clips-000000", "train", failing())
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {repo!r}]
from dataio.format import atomic, writer
from dataio.format.folder import LocalFolder
from test_writer import samples
out = Path({out!r})
atomic.write_file(out / "note", b"before")
shard = lambda: writer.write_shard(LocalFolder(out), "clips-000000", "train", samples())
note = lambda: atomic.write_file(out / "note", bytes(10**6))
for limit, write in (100, shard), (30_000, shard), (200_000, shard), (1000, note):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
    try:
        write()
    except OSError as error:
        print(error.errno, *(path.name for path in out.iterdir()), (out / "note").read_text())
"""


def test_a_full_disk_leaves_no_file_and_spoils_none(tmp_path: Path) -> None:
    code = FULL.format(tests=str(Path(__file__).parent), repo=str(Path(__file__).parents[3]), out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["27 note before"] * 4  # 27: the file grew too large


def test_a_name_too_long_for_ustar_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    def long() -> Iterator[writer.Segment]:
        members = writer.SegmentWriter("x" * 300)
        members.add("json", b"a")
        yield members.finish("x", 0.0)

    with pytest.raises(ValueError, match="too long"):
        writer.write_shard(LocalFolder(tmp_path), "clips-000000", "train", long())
    assert list(tmp_path.iterdir()) == []


def test_a_pcm_member_is_what_the_wave_module_writes() -> None:
    pcm = np.random.default_rng(0).integers(-(2**15), 2**15, (1001, 2), np.int16)
    members = writer.SegmentWriter("a-000000")
    members.pcm("front.wav", pcm, 96_000)
    segment = members.finish("a", 0.0)
    (member,) = segment.clip.members
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((2, 2, 96_000, 1001, "NONE", "not compressed"))
        file.writeframes(pcm.tobytes())
    assert segment.data[member.offset : member.offset + member.length] == buffer.getvalue()
    assert member.facts == index.Facts(rate=96_000, channels=2, samples=1001, data=44)


def test_pairs_of_a_shard_are_those_that_every_clip_has(tmp_path: Path) -> None:
    def clips() -> Iterator[writer.Segment]:
        for i, extensions in enumerate((("front.wav", "left.flac", "back.wav"), ("front.wav", "left.flac", "right.wav"))):
            members = writer.SegmentWriter(clip_key("a", i))
            for extension in extensions:
                members.add(extension, b"x")
            yield members.finish("a", 0.0)

    assert writer.write_shard(LocalFolder(tmp_path), "clips-000000", "train", clips()).pairs == ("front", "left")
