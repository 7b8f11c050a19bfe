"""The order of the pictures: every one once an epoch, the same for any number of processes, and resumable anywhere."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from train.downstream.detection.order import place, places


def joint(seen: int, steps: int, *, pictures: int, batch: int, world: int, seed: int = 3) -> list:
    """What all processes read in so many steps, step after step and process after process."""
    streams = [places(seen, pictures, seed, batch=batch, rank=rank, world=world) for rank in range(world)]
    return [at for _ in range(steps) for stream in streams for at in islice(stream, batch)]


@given(pictures=st.integers(1, 40), seed=st.integers(-5, 5), epoch=st.integers(0, 3))
def test_every_picture_once_an_epoch(pictures, seed, epoch):
    found = [place(epoch * pictures + at, pictures, seed) for at in range(pictures)]
    assert sorted(at.index for at in found) == list(range(pictures))
    assert {at.epoch for at in found} == {epoch}


@given(pictures=st.integers(1, 30), batch=st.integers(1, 3), steps=st.integers(1, 12))
def test_processes_cut_one_sequence(pictures, batch, steps):
    alone = joint(0, steps, pictures=pictures, batch=4 * batch, world=1)
    assert joint(0, steps, pictures=pictures, batch=2 * batch, world=2) == alone
    assert joint(0, steps, pictures=pictures, batch=batch, world=4) == alone


@given(pictures=st.integers(1, 30), before=st.integers(0, 20), after=st.integers(1, 20))
def test_it_goes_on_anywhere_and_on_another_number_of_processes(pictures, before, after):
    first = joint(0, before, pictures=pictures, batch=1, world=4)
    rest = joint(4 * before, 2 * after, pictures=pictures, batch=1, world=2)
    assert first + rest == [place(at, pictures, 3) for at in range(4 * before + 4 * after)]


def test_epochs_and_seeds_differ():
    orders = {tuple(place(at, 50, seed).index for at in range(first, first + 50)) for seed in (0, 1) for first in (0, 50)}
    assert len(orders) == 4


def test_the_share_that_is_mirrored():
    for flip, low, high in ((0.0, 0, 0), (0.5, 450, 550), (1.0, 1000, 1000)):
        assert low <= sum(place(at, 100, 0, flip=flip).mirror for at in range(1000)) <= high
    by_epoch = {
        tuple(at.mirror for at in sorted((place(e * 20 + i, 20, 0) for i in range(20)), key=lambda at: at.index)) for e in (0, 1)
    }
    assert len(by_epoch) == 2  # drawn anew in each epoch
