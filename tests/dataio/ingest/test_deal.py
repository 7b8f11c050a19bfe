"""Who goes where: pure functions of the names, exact shares, every clip once."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataio.ingest import deal

NAMES = st.sets(st.text("abcdefé-/ 0123456789", min_size=1, max_size=8), max_size=60)


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    weights = draw(st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any))
    return {f"split{i}": weight / sum(weights) for i, weight in enumerate(weights)}


@given(NAMES, shares())
def test_every_split_gets_its_share_to_one_recording(names: set[str], wanted: dict[str, float]) -> None:
    got = deal.splits(dict.fromkeys(names), wanted)
    assert set(got) == names
    counts = Counter(got.values())
    assert set(counts) <= set(wanted)
    assert all(abs(counts[split] - share * len(names)) <= 1 + 1e-9 for split, share in wanted.items())


@given(NAMES, shares(), st.randoms())
def test_splits_depend_on_the_names_alone(names: set[str], wanted: dict[str, float], random) -> None:
    listed = sorted(names)
    shuffled = random.sample(listed, len(listed))
    assert deal.splits(dict.fromkeys(listed), wanted) == deal.splits(dict.fromkeys(shuffled), wanted)


def test_ten_recordings_are_dealt_eight_to_two() -> None:
    got = deal.splits({f"walk-{i}": None for i in range(10)}, {"train": 0.8, "val": 0.2})
    assert Counter(got.values()) == {"train": 8, "val": 2}


@pytest.mark.parametrize("count", [1, 2])
def test_few_recordings_all_go_to_the_first_split(count: int) -> None:
    assert set(deal.splits({f"r{i}": None for i in range(count)}, {"train": 0.8, "val": 0.2}).values()) == {"train"}


def test_the_word_of_the_source_stands() -> None:
    given_splits = {"a": "test", "b": None, "c": "val", "d": None}
    got = deal.splits(given_splits, {"train": 1.0})
    assert got == {"a": "test", "b": "train", "c": "val", "d": "train"}


@given(
    st.dictionaries(st.text("abc012", min_size=1, max_size=5), st.sampled_from(["train", "val"]), max_size=50), st.integers(1, 7)
)
def test_a_group_holds_one_split_and_every_recording_is_in_one_group(split_of: dict[str, str], size: int) -> None:
    groups = deal.groups(split_of, size)
    assert sorted(name for _, names in groups for name in names) == sorted(split_of)
    for split, names in groups:
        assert 1 <= len(names) <= size
        assert {split_of[name] for name in names} == {split}
    small = [names for _, names in groups if len(names) < size]
    assert len(small) <= len(set(split_of.values()))  # only the last group of a split may be short


CLIPS = st.dictionaries(st.text("abcé", min_size=1, max_size=4), st.integers(1, 30), max_size=8).map(
    lambda counts: [(name, i) for name, count in counts.items() for i in range(count)]
)


@given(CLIPS, st.integers(1, 12))
def test_every_clip_is_dealt_once_and_shards_are_equal_to_one_clip(clips: list[tuple[str, int]], count: int) -> None:
    shards = deal.deal(clips, count)
    assert sorted(clip for shard in shards for clip in shard) == sorted(clips)
    assert len(shards) == min(count, len(clips))
    lengths = [len(shard) for shard in shards]
    assert not lengths or max(lengths) - min(lengths) <= 1
    assert all(lengths)  # no shard is empty


@given(CLIPS, st.integers(1, 5), st.randoms())
def test_the_deal_depends_on_recording_and_index_alone(clips: list[tuple[str, int]], count: int, random) -> None:
    assert deal.deal(random.sample(clips, len(clips)), count) == deal.deal(clips, count)


def test_nothing_is_dealt_to_nobody() -> None:
    assert deal.deal([], 0) == deal.deal([], 3) == []


def test_a_shard_mixes_the_recordings_of_its_group() -> None:
    clips = [(f"r{r}", i) for r in range(16) for i in range(100)]
    for shard in deal.deal(clips, 20):
        assert len({name for name, _ in shard}) >= 14  # 80 clips of 16 recordings
        runs = sum(a[0] == b[0] for a, b in zip(shard, shard[1:], strict=False))
        assert runs < 20  # neighbours come from different recordings, but for chance (5 of 80)
        assert shard != sorted(shard)


def test_the_deal_is_the_same_in_another_process() -> None:
    clips, names = [("a", i) for i in range(9)], dict.fromkeys("abcdef")
    told = f"deal.deal({clips}, 2), deal.splits({names}, {{'x': 0.5, 'y': 0.5}})"
    code = f"from dataio.ingest import deal; print(({told}))"
    answers = set()
    for seed in "12":  # which Python mixes into its own hashes
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        answers.add(done.stdout)
    assert answers == {f"{(deal.deal(clips, 2), deal.splits(names, {'x': 0.5, 'y': 0.5}))}\n"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("train=1", {"train": 1.0}), ("train=0.8, val=0.2", {"train": 0.8, "val": 0.2}), ("a=0,b=1", {"a": 0.0, "b": 1.0})],
)
def test_shares_are_read(text: str, expected: dict[str, float]) -> None:
    assert deal.parse_shares(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "should look like"),
        ("train", "should look like"),
        ("train=x", "should look like"),
        ("=1", "needs names"),
        ("train=2,val=-1", "between 0 and 1"),
        ("train=nan", "between 0 and 1"),
        ("train=0.8", "adds up to 0.8, not 1"),
        ("train=0.8,train=0.2", "names 'train' twice"),
    ],
)
def test_bad_shares_are_refused_with_the_text(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"split '{text}' .*{sentence}|split '{text}' {sentence}"):
        deal.parse_shares(text)


@pytest.mark.parametrize("text", ["train=0.5,train=1", "train=0.5, train =0.5", "a=0,b=1,a=0"])
def test_a_split_named_twice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="twice"):
        deal.parse_shares(text)
