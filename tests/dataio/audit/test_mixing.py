"""The measures of mixing, against cases counted by hand, against drawing, and as laws."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataio.audit.mixing import effective, mixing, most_possible, same_pairs, shuffled, together, whole_split, windows
from dataio.stream.order.epoch import plan as epoch_plan

counts = st.lists(st.integers(0, 9), min_size=1, max_size=8).map(np.array)
shards = st.lists(st.dictionaries(st.integers(0, 5), st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=9)


def test_pairs_counted_by_hand():
    # clips a a b: of 3 pairs 1 is the same, and a batch of 4 has 6 pairs
    assert same_pairs(np.array([2, 1]), 4) == pytest.approx(6 / 3)
    assert same_pairs(np.array([5]), 32) == 496
    assert same_pairs(np.array([1] * 40), 32) == 0
    assert same_pairs(np.array([1]), 32) == 0
    assert same_pairs(np.array([0, 0]), 32) == 0


@given(counts)
def test_pairs_are_those_of_every_batch_that_can_be_drawn(clips):
    """The mean over all batches of three, each drawn by itself."""
    names = np.repeat(np.arange(len(clips)), np.minimum(clips, 3))
    batches = list(itertools.combinations(names.tolist(), 3))
    if not batches:
        return
    same = [sum(a == b for a, b in itertools.combinations(batch, 2)) for batch in batches]
    assert same_pairs(np.minimum(clips, 3), 3) == pytest.approx(np.mean(same))


def test_effective_number_by_hand():
    assert effective(np.array([4, 4, 4])) == pytest.approx(3)
    assert effective(np.array([7])) == 1
    assert effective(np.array([3, 1])) == pytest.approx(16 / 10)
    assert effective(np.zeros(3)) == 0
    assert most_possible(8, 4) == pytest.approx(4)
    assert most_possible(3, 16) == pytest.approx(3)
    assert most_possible(5, 2) == pytest.approx(25 / 13)  # three and two
    assert most_possible(0, 4) == most_possible(4, 0) == 0


@given(counts)
def test_effective_number_has_its_bounds(clips):
    n, recordings = int(clips.sum()), int((clips > 0).sum())
    if n:
        assert 1 - 1e-9 <= effective(clips) <= most_possible(n, recordings) + 1e-9
        assert most_possible(n, recordings) <= min(n, recordings) + 1e-9


def test_what_a_perfect_shuffle_holds():
    """Against drawing: the mean of Σ p² of 8 clips out of 5, 3 and 2."""
    names = np.repeat([0, 1, 2], [5, 3, 2])
    draw = np.random.default_rng(0)
    squares = [1 / effective(np.bincount(draw.permutation(names)[:8])) for _ in range(4000)]
    assert shuffled(8, np.array([5, 3, 2])) == pytest.approx(1 / np.mean(squares), rel=0.01)
    assert shuffled(10, np.array([5, 3, 2])) == pytest.approx(effective(np.array([5, 3, 2])))
    assert shuffled(1, np.array([5, 3])) == 1 and shuffled(0, np.array([5])) == 0


@given(shards, st.integers(1, 5))
def test_windows_hold_each_shard_once(sets, window):
    found = windows(sets, window)
    used = len(sets) // window * window or len(sets)
    assert together(found) == together(sets[:used])
    assert len(found) == max(1, len(sets) // window)


@given(shards, st.integers(1, 5))
def test_mixing_lies_between_no_and_perfect_shuffle(sets, window):
    total = together(sets)
    whole = np.bincount(list(total), weights=list(total.values()))
    m = mixing("train", sets, whole, 32, window)
    assert m.pairs_sorted == 496
    assert 0 <= m.pairs_window <= 496 + 1e-9
    assert m.recordings_shard <= m.most_shard + 1e-9 and m.recordings_window <= m.most_window + 1e-9
    if window >= len(sets):  # one window of everything is a perfect shuffle
        assert m.pairs_window == pytest.approx(m.pairs_perfect)
        assert m.recordings_window == pytest.approx(effective(whole))


def test_mixing_by_hand():
    """Two recordings; the first two shards hold one each, the others both."""
    m = mixing("val", [{0: 2}, {1: 2}, {0: 1, 1: 1}, {0: 1, 1: 1}], np.array([4, 4]), batch=2, window=2)
    assert m.pairs_shard == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert m.pairs_window == pytest.approx(1 / 3)  # two of each in both windows: 2 of 6 pairs
    assert m.pairs_perfect == pytest.approx(12 / 28)
    assert m.recordings_shard == pytest.approx((1 + 1 + 2 + 2) / 4)
    assert (m.most_shard, m.recordings_window, m.most_window, m.recordings) == (2, 2, 2, 2)


def test_large_shards_count_for_more():
    m = mixing("x", [{0: 30}, {0: 1, 1: 1}], np.array([31, 1]), window=1)
    assert m.recordings_shard == pytest.approx((30 * 1 + 2 * 2) / 32)


def test_windows_of_sampled_shards_tell_what_an_epoch_holds():
    """The real order of a few epochs, cut into batches inside windows, holds as many pairs as the formula says."""
    draw = random.Random(0)
    sets = [{r: draw.randint(1, 6) for r in draw.sample(range(24), 8)} for _ in range(12)]
    recording = [np.repeat(list(s), list(s.values())) for s in sets]
    of_clip = np.concatenate(recording)
    first = np.concatenate([[0], np.cumsum([len(r) for r in recording])])
    pairs, expected = [], []
    for epoch in range(150):
        plan = epoch_plan(first, np.arange(12), "f", 0, epoch, 3)
        drawn = mixing("train", [sets[s] for s in plan.shards], np.ones(24), 16, 3)
        expected.append(drawn.pairs_window)
        for low, high in itertools.pairwise(plan.edges):
            window = of_clip[plan.clips(np.arange(low, high))]
            batch = window[:16]
            pairs.append(((batch[:, None] == batch[None]).sum() - 16) / 2)
    assert np.mean(pairs) == pytest.approx(np.mean(expected), rel=0.05)


def test_whole_split_from_manifest_and_some_indexes():
    recordings, shard = np.array([0, 1, 0, 1, 2]), np.array([0, 0, 1, 1, 2])
    clips = np.array([4, 10, 3])
    assert whole_split(recordings, shard, clips, {}).tolist() == [7, 7, 3]
    assert whole_split(recordings, shard, clips, {1: {0: 9, 1: 1}}).tolist() == [11, 3, 3]
    assert whole_split(np.zeros(0, int), np.zeros(0, int), clips, {}).tolist() == []


@pytest.mark.parametrize(("sets", "batch", "window"), [([], 32, 4), ([{0: 1}], 0, 4), ([{0: 1}], 32, 0)])
def test_nothing_to_measure_is_an_error(sets, batch, window):
    with pytest.raises(ValueError, match="each must be at least 1"):
        mixing("train", sets, np.ones(1), batch, window)
