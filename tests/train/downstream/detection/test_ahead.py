"""Reading ahead keeps the order, raises when the turn comes, and leaves no thread."""

import threading
from contextlib import closing
from itertools import count, islice

import pytest

from train.downstream.detection.ahead import read_ahead


def test_the_order_is_that_of_the_jobs_and_no_more_than_depth_are_begun():
    begun, first = [], threading.Event()

    def load(job: int) -> int:
        begun.append(job)
        if job == 0:
            first.wait(300)  # the others overtake it
        elif job == 3:
            first.set()
        return job * job

    with closing(read_ahead(load, count(), threads=2, depth=3)) as reading:
        assert list(islice(reading, 6)) == [0, 1, 4, 9, 16, 25]
    assert max(begun) <= 9


def test_an_error_comes_in_its_turn_and_the_end_is_the_end():
    def load(job: int) -> float:
        return 1 / job

    reading = read_ahead(load, [2, 1, 0, 4], threads=1, depth=2)
    assert [next(reading), next(reading)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(reading)
    assert list(read_ahead(load, [1, 2], threads=3, depth=9)) == [1.0, 0.5]
    assert list(read_ahead(load, [], threads=3, depth=9)) == []
