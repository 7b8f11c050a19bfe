"""Average precision by three rules against scikit-learn, a loop over thresholds, and rankings that one can do by hand."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from train.downstream.images.average_precision import area, eleven_points, envelope

RULES = (eleven_points, envelope, area)
RANKINGS = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=1, max_size=40).filter(lambda r: any(p for p, _ in r))
"""Truth and score of each picture; few different scores, so that many are equal."""


def points(ranking: list[tuple[bool, int]]) -> list[tuple[Fraction, Fraction]]:
    """(recall, precision) of every threshold, exactly, each from the whole ranking."""
    found = []
    for threshold in sorted({score for _, score in ranking}, reverse=True):
        kept = [positive for positive, score in ranking if score >= threshold]
        found.append((Fraction(sum(kept), sum(p for p, _ in ranking)), Fraction(sum(kept), len(kept))))
    return found


@settings(deadline=None)
@given(RANKINGS)
def test_eleven_points_are_those_of_a_loop(ranking):
    highest = [max(p for r, p in points(ranking) if r >= Fraction(tenths, 10)) for tenths in range(11)]
    assert eleven_points(*zip(*ranking, strict=True)) == pytest.approx(float(sum(highest) / 11), abs=1e-12)


@settings(deadline=None)
@given(RANKINGS)
def test_the_envelope_is_that_of_a_loop(ranking):
    before, total = Fraction(0), Fraction(0)
    for recall, _ in points(ranking):
        total += (recall - before) * max(p for r, p in points(ranking) if r >= recall)
        before = recall
    assert envelope(*zip(*ranking, strict=True)) == pytest.approx(float(total), abs=1e-12)


@settings(deadline=None)
@given(RANKINGS)
def test_the_area_is_scikit_learns_and_no_more_than_the_envelope(ranking):
    truth, scores = map(np.array, zip(*ranking, strict=True))
    assert area(truth, scores) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    assert area(truth, scores) <= envelope(truth, scores) + 1e-12


@settings(deadline=None)
@given(RANKINGS, st.randoms())
def test_the_order_of_the_pictures_changes_nothing(ranking, draw):
    mixed = draw.sample(ranking, len(ranking))
    for rule in RULES:
        assert rule(*zip(*mixed, strict=True)) == rule(*zip(*ranking, strict=True))


@pytest.mark.parametrize(
    ("truth", "eleven", "all_points", "steps"),
    [
        ([1, 1, 0, 0], 1, 1, 1),
        ([0, 0, 0, 1], 1 / 4, 1 / 4, 1 / 4),
        ([1, 0, 1], (6 + 5 * 2 / 3) / 11, (1 + 2 / 3) / 2, (1 + 2 / 3) / 2),  # recall 0.5 covers 0 … 0.5
        ([0, 1, 1], 2 / 3, 2 / 3, (1 / 2 + 2 / 3) / 2),  # the first positive is at precision 1/2, but 2/3 lies ahead
        ([1] * 3 + [0] * 3 + [1] * 7, (4 + 7 * 10 / 13) / 11, (3 + 7 * 10 / 13) / 10, None),  # recall 0.3, which 3 · 0.1 exceeds
    ],
)
def test_known_rankings(truth, eleven, all_points, steps):
    scores = -np.arange(len(truth), dtype=float)
    assert eleven_points(truth, scores) == pytest.approx(eleven)
    assert envelope(truth, scores) == pytest.approx(all_points)
    if steps is not None:
        assert area(truth, scores) == pytest.approx(steps)


def test_a_ranker_that_cannot_tell_gets_the_fraction_of_positives():
    assert [rule([0, 1, 0, 0, 1], [2.0] * 5) for rule in RULES] == pytest.approx([0.4] * 3)


@pytest.mark.parametrize("rule", RULES)
def test_what_does_not_fit_is_named(rule):
    with pytest.raises(ValueError, match="none of 2 pictures is positive"):
        rule([0, 0], [1.0, 2.0])
    with pytest.raises(ValueError, match="a truth and a score of each picture, not .2,. and .3,."):
        rule([0, 1], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="must be finite"):
        rule([0, 1], [1.0, np.nan])
