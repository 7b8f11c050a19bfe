"""The order of an epoch: a permutation, the same however it is cut, and restorable anywhere."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.stream.order import random
from dataio.stream.order import steps as cutting
from dataio.stream.order.epoch import Epoch, plan

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def epoch(sizes: list[int], seed: int = 0, number: int = 0, window: int = 4, shuffle: bool = True) -> Epoch:
    first = np.concatenate([[0], np.cumsum(sizes)])
    return plan(first, np.arange(len(sizes)), "fingerprint", seed, number, window, shuffle)


def sequence(plan: Epoch, batch: int, world: int, last: cutting.LastBatch, start: int = 0) -> list[list[np.ndarray]]:
    """Clip ids of every step and rank."""
    found = []
    for position in range(start, len(plan), batch * world):
        parts = [cutting.cut(len(plan), position, batch, rank, world, last) for rank in range(world)]
        if not any(len(part) for part in parts):
            break
        found.append([plan.clips(part) for part in parts])
    return found


@settings(deadline=None)
@given(SIZES, st.integers(0, 5), st.integers(0, 5), st.integers(1, 40))
def test_every_clip_once(sizes, seed, number, window):
    plan = epoch(sizes, seed, number, window)
    assert sorted(plan.clips(np.arange(len(plan)))) == list(range(sum(sizes)))


@settings(deadline=None)
@given(SIZES, st.integers(1, 7), st.sampled_from([1, 2, 3, 4, 8]), st.sampled_from(cutting.LAST_BATCH))
def test_ranks_only_cut_the_sequence(sizes, batch, world, last):
    plan = epoch(sizes)
    whole = plan.clips(np.arange(len(plan)))
    steps = sequence(plan, batch, world, last)
    assert len(steps) == cutting.steps(len(plan), batch, world, last)
    given_out = np.concatenate([np.zeros(0, np.int64), *(part for step in steps for part in step)])
    if last == "drop":
        assert np.array_equal(given_out, whole[: len(whole) // (batch * world) * batch * world])
    elif last == "partial":
        assert np.array_equal(given_out, whole)
    else:
        assert np.array_equal(given_out, np.resize(whole, len(given_out)))
        assert all(len(part) == batch for step in steps for part in step)


@settings(deadline=None, max_examples=50)
@given(SIZES, st.integers(1, 5), st.integers(1, 5), st.data())
def test_goes_on_with_another_batch_and_world(sizes, batch, world, data):
    plan = epoch(sizes)
    before = sequence(plan, batch, world, "partial")
    step = data.draw(st.integers(0, len(before)))
    position = min(step * batch * world, len(plan))
    after = sequence(plan, data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)), "partial", start=position)
    parts = [part for s in [*before[:step], *after] for part in s]
    assert np.array_equal(np.concatenate(parts), plan.clips(np.arange(len(plan))))


def test_seed_epoch_and_data_change_the_order():
    sizes = [50] * 8
    orders = {tuple(epoch(sizes, seed, number).clips(np.arange(400)).tolist()) for seed in range(3) for number in range(3)}
    assert len(orders) == 9


def test_the_order_is_the_same_on_every_machine_and_version():
    """Golden numbers: whoever changes them breaks the resume of every run under way."""
    assert (
        random.mix(np.array([0x9E3779B97F4A7C15], np.uint64))[0] == 0xE220A8397B1DCDAF
    )  # SplitMix64's published first output for seed 0
    assert random.key("fingerprint", 1, 2) == 17929018688284570607
    assert random.permutation(random.key("golden"), 10).tolist() == [1, 2, 9, 8, 5, 7, 0, 6, 4, 3]
    assert random.below(random.key("golden"), np.arange(8), 100).tolist() == [64, 5, 25, 76, 76, 36, 73, 39]
    whole = plan(np.cumsum([0, 3, 1, 4, 1, 5, 2]), np.arange(6), "golden", 1, 2, window=2).clips(np.arange(16))
    assert whole.tolist() == [10, 9, 13, 12, 11, 3, 6, 8, 5, 4, 7, 15, 14, 0, 2, 1]


def test_a_draw_may_name_its_stream_for_each_number():
    streams = np.array([random.key("a"), random.key("b"), random.key("a")], np.uint64)
    each = [random.draw(int(stream), np.array([n]))[0] for n, stream in enumerate(streams)]
    assert random.draw(streams, np.arange(3)).tolist() == [int(value) for value in each]


def test_a_window_is_shuffled_once_and_kept_from_harm():
    made = epoch([5] * 8)
    assert made.window_clips(1) is made.window_clips(1)
    with pytest.raises(ValueError, match="read-only"):
        made.window_clips(1)[0] = 0


def test_an_epoch_that_is_forgotten_is_gone():
    """No cycle: the arrays of a million shards do not wait for the garbage collector."""
    made = epoch([5] * 8)
    made.clips(np.arange(40))
    watch = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert watch() is None
    finally:
        gc.enable()


def test_windows_stay_local():
    plan = epoch([10] * 20, window=3)
    shard = plan.clips(np.arange(200)) // 10
    for w in range(0, 200, 30):
        assert set(shard[w : w + 30]) == set(plan.window_shards(w))


@pytest.mark.parametrize("window", [1, 4, 20])
def test_unshuffled_takes_the_clips_as_they_lie(window):
    assert np.array_equal(epoch([7] * 9, window=window, shuffle=False).clips(np.arange(63)), np.arange(63))


def test_draws_are_uniform():
    counts = np.bincount(random.below(random.key("x"), np.arange(100_000), 7), minlength=7)
    assert ((counts - 100_000 / 7) ** 2 / (100_000 / 7)).sum() < 22.5  # χ² of 6 degrees of freedom, p = 0.001
    pairs = np.bincount(random.permutation(5, 10_000) * 10 // 10_000 * 10 + np.arange(10_000) * 10 // 10_000, minlength=100)
    assert ((pairs - 100) ** 2 / 100).sum() < 150


@pytest.mark.parametrize("clips", [10**6])
def test_a_million_shards_of_a_thousand_clips(clips):
    """O(shards): a billion clips are planned without ever being counted one by one."""
    first = np.arange(clips + 1, dtype=np.int64) * 1000
    found = plan(first, np.arange(clips), "f", 0, 0, 4)
    assert len(found) == 10**9
    ids = found.clips(cutting.cut(len(found), 777_777_777, 32, 1, 8, "drop"))
    assert len(ids) == len(set(ids.tolist())) == 32
    assert set(ids // 1000) <= set(found.window_shards(777_777_777 + 32))
