"""Quotas: exact in the end, near their share all along, and the same found from any place."""

import heapq
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataio.stream.order.quota import STRAY, Quota, share_out

COUNTS = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 60)), min_size=1, max_size=14).filter(any)


def served(counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return Quota(counts).places(np.arange(sum(counts)))


@settings(deadline=None)
@given(COUNTS)
def test_each_has_its_count_in_its_own_order(counts):
    which, before = served(counts)
    for i, count in enumerate(counts):
        assert np.array_equal(before[which == i], np.arange(count))


def fibonacci(n: int) -> list[int]:
    found = [1, 1]
    while len(found) < n:
        found.append(found[-1] + found[-2])
    return found


@settings(deadline=None)
@given(COUNTS)
@example([1] * 200)
@example([1, 1000])
@example([10_000, 1, 1, 1, 1])
@example(fibonacci(18))  # the deepest tree there is
def test_none_strays_from_its_share(counts):
    which, _ = served(counts)
    total = sum(counts)
    for i, count in enumerate(counts):
        had = np.concatenate([[0], np.cumsum(which == i)])
        assert np.abs(had - np.arange(total + 1) * count / total).max() < STRAY


@settings(deadline=None)
@given(COUNTS, st.data())
def test_a_place_is_found_by_itself_and_back(counts, data):
    quota, (which, before) = Quota(counts), served(counts)
    some = data.draw(st.lists(st.integers(0, sum(counts) - 1), max_size=20))
    again = quota.places(np.array(some, np.int64))
    assert np.array_equal(again[0], which[some]) and np.array_equal(again[1], before[some])
    assert [quota.position(w, b) for w, b in zip(*(part.tolist() for part in again), strict=True)] == some


@settings(deadline=None)
@given(COUNTS)
def test_what_was_taken(counts):
    quota, (which, _) = Quota(counts), served(counts)
    for p in range(sum(counts) + 1):
        assert quota.taken(p) == np.bincount(which[:p], minlength=len(counts)).tolist()


def test_places_that_no_square_fits():
    """More than three billion: their products do not fit 64 bits."""
    counts = [2**40 + 1, 3 * 2**40, 12_345]
    quota = Quota(counts)
    positions = np.concatenate([np.arange(1000), [2**41, 2**42 - 7], np.arange(sum(counts) - 1000, sum(counts))])
    which, before = quota.places(positions)
    assert [quota.position(w, b) for w, b in zip(which.tolist(), before.tolist(), strict=True)] == positions.tolist()
    assert before[which == 1][-1] == counts[1] - 1
    assert before.dtype == which.dtype == np.int64


def test_the_interleaving_is_the_same_on_every_machine_and_version():
    """Golden: whoever changes it breaks the resume of every run on several sets."""
    assert served([6, 3, 2])[0].tolist() == [0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0]


def test_many_are_served_without_a_deep_tree():
    """Far below the recursion limit for any counts: at most as deep as there are Fibonacci numbers below the total."""
    quota = Quota(fibonacci(80))
    assert max(len(path) for path in quota._paths) == 79
    assert quota.position(0, 0) < quota.total


def test_the_tree_is_huffmans():
    """The bound rests on it: the sum of the inner nodes is what the textbook's algorithm gives."""
    counts = [13, 1, 40, 7, 7, 2, 25]
    heap, cost = sorted(counts), 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        cost += merged
        heapq.heappush(heap, merged)
    assert sum(len(path) * count for path, count in zip(Quota(counts)._paths, counts, strict=True)) == cost


SHARES = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=9).filter(any)


@given(st.integers(0, 10**12), SHARES)
def test_shares_add_up_and_are_as_near_as_whole_numbers_can_be(total, shares):
    counts = share_out(total, shares)
    assert sum(counts) == total
    exact = [Fraction(str(share)) for share in shares]
    assert all(abs(count - total * share / sum(exact)) < 1 for count, share in zip(counts, exact, strict=True))
    assert all(count == 0 for count, share in zip(counts, shares, strict=True) if share == 0)


def test_shares_by_hand():
    assert share_out(10, [0.5, 0.3, 0.2]) == [5, 3, 2]
    assert share_out(10, [1, 1, 1]) == [4, 3, 3]  # ties go to the earlier one
    assert share_out(100, [0.1, 0.2, 0.7]) == [10, 20, 70]  # although these add up to no 1 in binary
    assert share_out(7, [70, 30]) == [5, 2]


@pytest.mark.parametrize("shares", [[-0.1, 1.1], [0.0, 0.0], [], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_shares_that_cannot_be(shares):
    with pytest.raises(ValueError, match="shares"):
        share_out(10, shares)
