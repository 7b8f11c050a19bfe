"""The shuffle bench: what it counts, against counting by hand, by formula and on a set that lies on the disk."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.loader.shuffle import ONE_PAIR, Population, dealt, like_omniaudio, lines, pairs, shuffle, stored
from dataio.audit.mixing import same_pairs
from dataio.format import index, manifest
from dataio.stream.order.epoch import plan


@given(st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=5))
def test_pairs_are_counted(rows):
    by_hand = [sum(a == b for a, b in itertools.combinations(row, 2)) for row in rows]
    assert pairs(np.array(rows)).tolist() == by_hand


@pytest.fixture(scope="module")
def small() -> Population:
    return dealt("small", np.arange(20, 60), step=2.0, clip_bytes=2**22, group=8)


@pytest.fixture(scope="module")
def result(small: Population) -> dict:
    return shuffle([small], windows=(1, 2, 4, 1000), batches=400)


def test_dealt_as_the_builder_deals(small: Population):
    assert small.source.clips == sum(range(20, 60)) == len(small.recording)
    assert np.array_equal(np.bincount(small.recording), np.arange(20, 60))
    first = small.source.first_clip
    inside = [set(small.recording[a:b].tolist()) for a, b in zip(first, first[1:], strict=False)]
    assert all(len({recording // 8 for recording in shard}) == 1 and len(shard) == 8 for shard in inside)
    assert small.bytes.max() <= 2**28


def test_windows_mix_from_sorted_to_perfect(result: dict):
    found = result["populations"]["small"]
    rows = found["windows"]
    means = [row["pairs"] for row in rows]
    assert found["sorted"] > 8 * 31 > means[0] > means[1] > means[2] > means[3]
    assert means[3] == pytest.approx(found["perfect"], rel=0.1)  # one window over all shards is a perfect shuffle
    assert rows[3]["expected"] == pytest.approx(found["perfect"])
    assert all(row["times_perfect"] == row["pairs"] / found["perfect"] for row in rows)
    for row in rows[1:]:  # batches across an edge hold fewer
        assert 0.7 * row["expected"] < row["pairs"] < 1.1 * row["expected"]


def test_windows_cost_what_they_hold(result: dict, small: Population):
    rows = result["populations"]["small"]["windows"]
    assert rows[3]["window_bytes"] == rows[3]["window_bytes_most"] == small.bytes.sum()
    assert small.bytes.min() <= rows[0]["window_bytes"] <= rows[0]["window_bytes_most"] == small.bytes.max()
    assert all(1 <= row["shards"] <= 2 * row["window"] for row in rows)
    near = [row["partnered"] for row in rows]
    assert all(0 < each["10 s"] <= each["60 s"] <= each["any"] <= 1 for each in near)
    assert near[0]["10 s"] < near[3]["10 s"] == 1.0  # all clips of all recordings are in the one window


def test_it_is_json_and_a_table(result: dict):
    again = json.loads(json.dumps(result))
    assert again["populations"]["small"]["windows"][0]["batches"] == 400 and again["machine"]["cores"]
    text = lines(again)
    assert len(text) == 3 + 4
    assert "40 recordings, 1580 clips" in text[0]


def write(folder: Path, rng: np.random.Generator) -> None:
    """A set of 30 shards in two splits: its manifest and its indexes."""
    rows = []
    for i in range(30):
        split = "train" if i % 3 else "val"
        clips = []
        for k in range(int(rng.integers(1, 12))):
            recording = f"{split}{rng.integers(0, 4)}"
            clips.append(index.Clip(f"{recording}-{i * 100 + k:06d}", recording, 2.0 * k, ()))
        found = index.build(f"clips-{i:06d}.tar", 1000 + i, clips)
        (folder / f"clips-{i:06d}.npz").write_bytes(found.dump())
        rows.append(manifest.Shard(f"clips-{i:06d}", len(clips), 1000 + i, 1, 1, 1, split, found.recordings, ()))
    media = manifest.Media(2.0, 0, (0, 0), 0, ())
    (folder / manifest.FILE).write_bytes(manifest.build(rows, media, {}, {}).dump())


def recordings_of_an_epoch(folder: Path, split: str, epoch: int, window: int) -> list[str]:
    """As a loader goes: ids of the set in the order of the epoch, looked up in the shards' indexes."""
    m = manifest.load(folder)
    sequence = plan(m.first_clip, m.select(split), m.fingerprint, 0, epoch, window)
    found = []
    for clip in sequence.clips(np.arange(len(sequence))).tolist():
        shard = int(np.searchsorted(m.first_clip, clip, side="right")) - 1
        clips = index.load(folder / f"{m.name(shard)}.npz", "").clips
        found.append(clips["key"][clip - m.first_clip[shard]].decode().split("-")[0])
    return found


def test_a_set_on_the_disk_is_counted_in_the_loaders_order(tmp_path: Path):
    write(tmp_path, np.random.default_rng(0))
    population = stored(tmp_path, "train")
    steps = population.source.clips // 8
    found = shuffle([population], batch=8, windows=(3,), batches=2 * steps)["populations"][population.name]
    by_hand = []
    for epoch in range(2):
        names = recordings_of_an_epoch(tmp_path, "train", epoch, 3)
        by_hand += [sum(a == b for a, b in itertools.combinations(names[i * 8 : i * 8 + 8], 2)) for i in range(steps)]
    assert found["windows"][0]["pairs"] == pytest.approx(np.mean(by_hand))
    assert found["recordings"] == 4
    m = manifest.load(tmp_path)
    whole = np.unique(recordings_of_an_epoch(tmp_path, "train", 0, 3), return_counts=True)[1]
    assert found["perfect"] == pytest.approx(same_pairs(whole, 8))
    assert found["shards"] == len(m.select("train")) == 20


def test_of_a_large_set_some_shards_are_looked_into(tmp_path: Path):
    write(tmp_path, np.random.default_rng(1))
    part, every = stored(tmp_path, "train", most=5), stored(tmp_path, "train")
    assert len(part.bytes) == 5 and part.source.clips == len(part.recording) < every.source.clips
    assert part.whole.sum() == pytest.approx(every.whole.sum())  # of the whole split all the same
    assert "5 of 20 shards" in part.name


def test_what_cannot_be(small: Population, tmp_path: Path):
    with pytest.raises(ValueError, match="batch=5000 must be from 2 to 1580"):
        shuffle([small], batch=5000)
    with pytest.raises(ValueError, match="batch=1 must be"):
        shuffle([small], batch=1)
    with pytest.raises(FileNotFoundError, match="no finished shard set"):
        stored(tmp_path)
    write(tmp_path, np.random.default_rng(2))
    with pytest.raises(ValueError, match="split='test'"):
        stored(tmp_path, "test")


def test_the_population_that_is_like_omniaudio():
    population = like_omniaudio(ONE_PAIR)
    assert population.source.clips == 64_250 and population.whole.sum() == 64_250
    assert np.count_nonzero(population.whole) == 165
    assert 3.5 < population.whole.max() / population.whole.min() < 4.1
    assert "one pair" in population.name
