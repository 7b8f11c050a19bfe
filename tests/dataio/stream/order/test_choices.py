"""The random choices of a clip, and what turning and mirroring do to yaw and ears."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.format.clip import PAIRS
from dataio.stream.order.choices import choose, heard
from dataio.stream.spec import ClipSpec

FULL = ClipSpec(size=(32, 64), pairs=PAIRS, yaw_classes=4, augment=("turn", "mirror"), partner=True)
FIELDS = ("yaw", "start", "turn", "mirror", "shift", "partner_start")


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(0, 9), st.integers(0, 9))
def test_a_clip_is_drawn_the_same_in_any_batch(clips, seed, epoch):
    together = choose(FULL, 192_000, seed, epoch, np.array(clips))
    for i, clip in enumerate(clips):
        alone = choose(FULL, 192_000, seed, epoch, np.array([clip]))
        assert all(getattr(alone, name)[0] == getattr(together, name)[i] for name in FIELDS)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**9)), max_size=20), st.integers(0, 9))
def test_a_batch_may_hold_clips_of_several_epochs(drawn, seed):
    epochs, clips = np.array([e for e, _ in drawn], np.int64), np.array([c for _, c in drawn], np.int64)
    mixed = choose(FULL, 192_000, seed, epochs, clips)
    for epoch in set(epochs.tolist()):
        alone = choose(FULL, 192_000, seed, epoch, clips[epochs == epoch])
        assert all(np.array_equal(getattr(mixed, name)[epochs == epoch], getattr(alone, name)) for name in FIELDS)


def test_choices_are_uniform_and_independent():
    drawn = choose(FULL, 192_000, 0, 0, np.arange(40_000))
    joint = np.bincount(drawn.yaw * 8 + drawn.turn * 2 + drawn.mirror, minlength=32)
    assert ((joint - 1250) ** 2 / 1250).sum() < 61.1  # χ² of 31 degrees of freedom, p = 0.001
    assert drawn.start.min() >= 0 and drawn.start.max() <= 96_000
    assert abs(drawn.start.mean() - 48_000) < 500


def test_drawn_the_same_on_every_machine_and_version():
    """Golden: whoever changes it breaks the resume of every run."""
    drawn = choose(FULL, 192_000, 1, 2, np.array([0, 1, 10**9]))
    assert [getattr(drawn, name).tolist() for name in FIELDS] == [
        [0, 3, 2],
        [68412, 71257, 6586],
        [0, 0, 2],
        [1, 0, 0],
        [0, 48, 0],
        [64240, 72580, 76148],
    ]


def test_tilts_are_uniform_the_same_in_any_batch_and_change_nothing_else():
    tilted, clips = replace(FULL, tilt=20), np.arange(40_000)
    drawn, level = choose(tilted, 192_000, 3, 1, clips), choose(FULL, 192_000, 3, 1, clips)
    assert all(np.array_equal(getattr(drawn, name), getattr(level, name)) for name in FIELDS)
    assert not level.pitch.any() and not level.roll.any()
    for angle in (drawn.pitch, drawn.roll):
        assert angle.min() < -19.99 and angle.max() > 19.99 and np.abs(angle).max() <= 20
        assert (np.abs(np.histogram(angle, 20, (-20, 20))[0] - 2000) < 200).all()
    assert abs(np.corrcoef(drawn.pitch, drawn.roll)[0, 1]) < 0.02
    epochs = np.where(clips < 100, 1, 2)
    mixed = choose(tilted, 192_000, 3, epochs, clips)
    assert np.array_equal(mixed.pitch[:100], drawn.pitch[:100]) and not np.array_equal(mixed.roll[100:], drawn.roll[100:])
    assert np.allclose(drawn.pitch[:2], [-8.41472676966903, 17.592517184261737], atol=1e-12)


def test_the_partners_window_is_drawn_by_itself():
    drawn = choose(FULL, 192_000, 0, 0, np.arange(40_000))
    assert drawn.partner_start.min() >= 0 and drawn.partner_start.max() <= 96_000
    assert abs(drawn.partner_start.mean() - 48_000) < 500
    assert abs(np.corrcoef(drawn.start, drawn.partner_start)[0, 1]) < 0.02
    assert not choose(ClipSpec(), 192_000, 0, 0, np.arange(50)).partner_start.any()


def test_a_window_as_long_as_the_clip_starts_at_its_beginning():
    assert not choose(ClipSpec(sound_seconds=2.0), 192_000, 0, 0, np.arange(50)).start.any()


def test_shift_is_yaw_plus_turn():
    drawn = choose(FULL, 192_000, 3, 1, np.arange(1000))
    world_yaw = np.where(drawn.mirror == 1, (-drawn.yaw) % 4, drawn.yaw)
    assert np.array_equal(drawn.shift, (world_yaw * 16 + drawn.turn * 16) % 64)


@pytest.mark.parametrize("turn", range(4))
def test_turned_right_the_right_pair_is_the_new_front(turn):
    assert [pair for pair, _ in heard(PAIRS, turn, False)] == [PAIRS[(i + turn) % 4] for i in range(4)]
    assert heard(("front",), turn, False) == [(PAIRS[turn], False)]


def test_mirrored_the_sides_change():
    assert heard(PAIRS, 0, True) == [("front", True), ("left", True), ("back", True), ("right", True)]
    # turned right first, the new right pair is the old back one; mirrored, it is heard on the left
    assert heard(PAIRS, 1, True) == [("right", True), ("front", True), ("left", True), ("back", True)]
