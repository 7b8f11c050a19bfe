"""Partners: same recording, same window, within reach, drawn fairly, the clip itself last."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.stream.order.partner import Companions

ODD = st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e300, -1e300])
CLIP = st.tuples(st.integers(0, 10**9), st.integers(0, 4), st.one_of(st.integers(0, 40).map(lambda i: i * 0.1), ODD))
WINDOW = st.lists(CLIP, min_size=1, max_size=40, unique_by=lambda clip: clip[0])
REACH = st.sampled_from([0.05, 0.1, 0.3, 1.0, 2.0, float("inf")])


def companions(clips: list[tuple[int, int, float]]) -> Companions:
    ids, recordings, starts = zip(*clips, strict=True)
    return Companions(np.array(ids), np.array(recordings), np.array(starts))


@settings(deadline=None)
@given(WINDOW, REACH, st.integers(0, 3), st.integers(0, 3))
def test_who_may_be_a_partner(clips, reach, seed, epoch):
    """Against the rule, spelled out clip by clip in whole microseconds."""
    found = companions(clips)
    for clip, recording, start in clips:
        expected = {
            other
            for other, its, at in clips
            if its == recording
            and other != clip
            and abs(start) <= 1e12
            and abs(at) <= 1e12
            and (reach == float("inf") or abs(round(at * 1e6) - round(start * 1e6)) <= round(reach * 1e6))
        }
        drawn = found.candidates(clip, seed, epoch, reach).tolist()
        assert drawn[-1] == clip and len(drawn) == len(set(drawn))
        assert set(drawn[:-1]) == expected


@settings(deadline=None)
@given(WINDOW, REACH)
def test_partners_are_partners_of_each_other(clips, reach):
    found = companions(clips)
    near = {clip: set(found.near(clip, reach).tolist()) for clip, _, _ in clips}
    assert all(clip in near[other] for clip, others in near.items() for other in others)


def test_near_ones_come_by_start_and_id():
    found = companions([(9, 0, 2.0), (3, 0, 2.0), (4, 0, 0.0), (7, 0, 1.0), (1, 0, 5.0), (2, 1, 1.0)])
    assert found.near(7, 1.0).tolist() == [4, 3, 9]
    assert found.near(3, 9.0).tolist() == [4, 7, 9, 1]


@settings(deadline=None)
@given(WINDOW, st.randoms(use_true_random=False), REACH)
def test_the_order_in_which_a_window_is_given_does_not_matter(clips, random, reach):
    other = random.sample(clips, len(clips))
    for clip, _, _ in clips:
        one, two = (companions(c).candidates(clip, 1, 2, reach).tolist() for c in (clips, other))
        assert one == two


def test_each_neighbour_is_drawn_as_often_as_the_others():
    """Over clips, seeds and epochs alike: χ² of 9 degrees of freedom, p = 0.001."""
    found = companions([(i, 0, 2.0 * i) for i in range(11)])
    first = [found.candidates(5, seed, epoch, 100)[0] for seed in range(50) for epoch in range(60)]
    counts = np.bincount(first, minlength=11)
    assert counts[5] == 0
    assert ((np.delete(counts, 5) - 300) ** 2 / 300).sum() < 27.9
    ring = companions([(i, 0, 0.0) for i in range(1000)])
    places = [ring.candidates(i, 0, 0, 1.0)[0] for i in range(1000)]
    assert 580 < len(set(places)) < 680  # 1 − 1/e of them are anyone's partner, as in independent draws


def test_seed_epoch_and_clip_change_the_drawing():
    found = companions([(i, 0, 0.0) for i in range(30)])
    drawn = {tuple(found.candidates(c, s, e, 1.0)[:-1].tolist()) for c in range(3) for s in range(3) for e in range(3)}
    assert len(drawn) == 27


def test_drawn_the_same_on_every_machine_and_version():
    """Golden: whoever changes it breaks the resume of every run with partners."""
    found = companions([(i, i % 2, 2.0 * i) for i in range(20)])
    assert found.candidates(8, 3, 1, 9.0).tolist() == [10, 4, 12, 6, 8]


def test_alone():
    found = companions([(7, 0, 0.0), (8, 1, 0.0), (9, 0, float("nan"))])
    assert [found.candidates(clip, 0, 0, 1e9).tolist() for clip in (7, 8, 9)] == [[7], [8], [9]]
    with pytest.raises(KeyError, match="clip 6 is not"):
        found.near(6, 1.0)
    with pytest.raises(KeyError, match="clip 10 is not"):
        found.near(10, 1.0)
