"""The manifest: what is written is read back, its fingerprint sees every change, and a million shards fit a laptop."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.format import manifest, table
from dataio.format.clip import PAIRS

WORD = st.integers(0, 2**32 - 1)
MEDIA = manifest.Media(2.0, 8, (256, 512), 96_000, ("front", "back"))
LEVELS = {"front.L": 0.1, "front.R": 0.12, "back.L": 0.3, "back.R": 1 / 3}
OPTIONS = {"encode": {"fps": 4.0}, "split": "train=0.8,val=0.2"}
SHARD = st.builds(
    manifest.Shard,
    name=st.integers(0, 999_999).map("clips-{:06d}".format),
    clips=st.integers(1, 2**31 - 1),
    bytes=st.integers(0, 2**48),
    crc=WORD,
    index_crc=WORD,
    idx_crc=WORD,
    split=st.sampled_from(["train", "val", "test"]),
    recordings=st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=4, unique=True).map(tuple),
    pairs=st.sets(st.sampled_from(PAIRS)).map(lambda chosen: tuple(pair for pair in PAIRS if pair in chosen)),
)


def _write(folder: Path, result: manifest.Manifest) -> manifest.Manifest:
    (folder / manifest.FILE).write_bytes(result.dump())
    return manifest.load(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("manifest")


@given(shards=st.lists(SHARD, max_size=6, unique_by=lambda shard: shard.name))
@settings(max_examples=60)
def test_what_is_written_is_read_back(folder: Path, shards: list[manifest.Shard]) -> None:
    got = _write(folder, manifest.build(shards, MEDIA, LEVELS, OPTIONS))
    assert (got.media, got.mean_rms, got.options, len(got)) == (MEDIA, LEVELS, OPTIONS, len(shards))
    assert got.clips == sum(shard.clips for shard in shards)
    for i, shard in enumerate(shards):
        row = {name: int(got.shards[name][i]) for name in ("clips", "bytes", "crc", "index_crc", "idx_crc")}
        slugs = tuple(got.recordings[r].decode() for r in got.shard_recordings(i))
        pairs = tuple(pair for pair in PAIRS if i in got.select(None, [pair]))
        assert manifest.Shard(got.name(i), **row, split=got.splits[got.shards["split"][i]], recordings=slugs, pairs=pairs) == shard
        assert i in got.select(shard.split, shard.pairs)
        assert got.first_clip[i] == sum(earlier.clips for earlier in shards[:i])


@given(shards=st.lists(SHARD, min_size=1, max_size=6))
@settings(max_examples=20)
def test_the_splits_divide_the_shards(shards: list[manifest.Shard]) -> None:
    result = manifest.build(shards, MEDIA, LEVELS, OPTIONS)
    rows = [int(row) for split in result.splits for row in result.select(split)]
    assert sorted(rows) == result.select(None).tolist() == list(range(len(shards)))
    with pytest.raises(ValueError, match="split='dev' is not in this set; it has"):
        result.select("dev")


TWO = [
    manifest.Shard("clips-000000", 10, 1000, 1, 2, 3, "train", ("a", "b"), ("front", "back")),
    manifest.Shard("clips-000001", 11, 1001, 4, 5, 6, "val", ("c",), ("front",)),
]


def test_the_same_set_has_the_same_bytes_and_fingerprint() -> None:
    one, two = (manifest.build(TWO, MEDIA, dict(levels), OPTIONS) for levels in (LEVELS, reversed(LEVELS.items())))
    assert one.fingerprint == two.fingerprint
    assert one.dump() == two.dump()


@pytest.mark.parametrize(
    "change",
    [{"name": "x"}, {"clips": 9}, {"bytes": 9}, {"crc": 9}, {"index_crc": 9}, {"split": "test"}],
    ids=lambda c: next(iter(c)),
)
def test_the_fingerprint_sees_every_change_of_a_shard(change: dict[str, object]) -> None:
    changed = [TWO[0], replace(TWO[1], **change)]
    assert manifest.build(changed, MEDIA, LEVELS, OPTIONS).fingerprint != manifest.build(TWO, MEDIA, LEVELS, OPTIONS).fingerprint


def test_the_fingerprint_sees_order_media_and_levels() -> None:
    good = manifest.build(TWO, MEDIA, LEVELS, OPTIONS).fingerprint
    assert manifest.build(TWO[::-1], MEDIA, LEVELS, OPTIONS).fingerprint != good
    assert manifest.build(TWO, replace(MEDIA, rate=48_000), LEVELS, OPTIONS).fingerprint != good
    assert manifest.build(TWO, MEDIA, LEVELS | {"front.L": 0.2}, OPTIONS).fingerprint != good


def test_an_unfinished_set_has_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no finished shard set: it has no manifest\.npz"):
        manifest.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no finished shard set: it does not exist"):
        manifest.load(tmp_path / "nowhere")


def test_damage_names_the_file(tmp_path: Path) -> None:
    data = manifest.build(TWO, MEDIA, LEVELS, OPTIONS).dump()
    path, refusals = tmp_path / manifest.FILE, []
    for at in range(0, len(data), 17):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            got = manifest.load(tmp_path)
        except table.FormatError as error:
            refusals.append(str(error))
        else:
            assert got.dump() == data
    assert len(refusals) > len(data) // 17 // 2
    assert all(str(path) in refusal for refusal in refusals)


def _edited(path: Path, head: dict[str, object], columns: dict[str, np.ndarray]) -> None:
    good_head, good = table.load(manifest.build(TWO, MEDIA, LEVELS, OPTIONS).dump(), "x", manifest.KIND, manifest.VERSION)
    path.write_bytes(table.dump(good_head | head, good | columns))


@pytest.mark.parametrize(
    ("head", "columns", "sentence"),
    [
        ({}, {"shard.clips": np.array([1], np.int32)}, "column 'clips' has the shape"),
        ({}, {"shard.split": np.array([0, 2], np.int32)}, r"shard\.split runs from 0 to 2"),
        ({}, {"shard.recordings": np.array([0, 1, 3], np.int32)}, r"shard\.recordings runs from 0 to 3"),
        ({}, {"shard.recording_begin": np.array([0, 2, 4])}, "recording_begin does not fit"),
        ({}, {"shard.recording_begin": np.array([0, 4, 3])}, "recording_begin does not fit"),
        ({}, {"recording": np.arange(3)}, "'recording' is int64"),
        ({"splits": None}, {}, "inconsistent manifest"),
        ({"media": {"size": [1, 2], "pairs": []}}, {}, "inconsistent manifest"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path, head: dict[str, object], columns: dict[str, np.ndarray], sentence: str
) -> None:
    _edited(tmp_path / manifest.FILE, {}, {})
    manifest.load(tmp_path)
    _edited(tmp_path / manifest.FILE, head, columns)
    with pytest.raises(table.FormatError, match=rf"manifest\.npz.*{sentence}"):
        manifest.load(tmp_path)


def test_a_million_shards_and_a_billion_clips_load_in_memory_that_only_the_shards_decide(tmp_path: Path) -> None:
    n = 1_000_000
    columns = {
        "name": np.full(n, b"clips-0000001"),
        "clips": np.full(n, 1000, np.int32),
        "bytes": np.full(n, 2**28, np.int64),
        **{name: np.zeros(n, np.uint32) for name in ("crc", "index_crc", "idx_crc")},
        "split": np.zeros(n, np.int32),
        "pairs": np.zeros(n, np.int32),
        "recording_begin": np.arange(n + 1),
        "recordings": np.zeros(n, np.int32),
    }
    whole = manifest.Manifest("f", MEDIA, LEVELS, OPTIONS, ("train",), np.array([b"a"]), columns, np.zeros(n + 1, np.int64))
    size = (tmp_path / manifest.FILE).write_bytes(whole.dump())
    del whole, columns
    tracemalloc.start()
    try:
        got = manifest.load(tmp_path)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(got), got.clips, got.name(n - 1)) == (n, 10**9, "clips-0000001")
    assert kept < 1.5 * size
    assert peak < 3 * size
