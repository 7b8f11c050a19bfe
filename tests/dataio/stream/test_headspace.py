"""Replayed batches in the place of real ones: which, how many, and what the comparison says."""

import pytest
import torch

from dataio.stream.headspace import Headspace
from dataio.stream.loader import ClipLoader
from dataio.stream.spec import ClipSpec


class Slow:
    """A loader of `steps` batches an epoch that takes `seconds` for each, by a clock that only it and its consumer move."""

    def __init__(self, steps: int, seconds: float) -> None:
        self.steps, self.seconds, self.now, self.given, self.epoch, self.closed = steps, seconds, 0.0, 0, 0, False

    def __len__(self) -> int:
        return self.steps

    def __iter__(self):
        while self.given < (self.epoch + 1) * self.steps:
            self.now += self.seconds
            self.given += 1
            yield {"clip": torch.tensor([self.given] * 4), "frames": torch.zeros(4), "names": ["x"]}
        self.epoch += 1

    def close(self) -> None:
        self.closed = True


def train(head: Headspace, slow: Slow, step: float = 0.1) -> list[int]:
    """One epoch; the clips it saw."""
    seen = []
    for batch in head:
        seen.append(int(batch["clip"][0]))
        slow.now += step
    return seen


def test_real_batches_first_then_the_last_of_them_again_and_again():
    slow = Slow(20, 0.3)
    head = Headspace(slow, batches=3, warmup=4, now=lambda: slow.now)
    assert len(head) == 20
    assert train(head, slow) == [*range(1, 8), *([5, 6, 7] * 4), 5]
    assert head.epoch == 1 and slow.given == 7
    assert train(head, slow) == [6, 7, *([5, 6, 7] * 6)] and head.epoch == 2


def test_the_gain_is_what_the_waiting_cost():
    slow = Slow(60, 0.3)
    head = Headspace(slow, now=lambda: slow.now)
    slow.now += 50  # whatever happened before the first ask
    train(head, slow)
    report = head.report()
    found = report["headspace"]
    assert found["real"]["steps_per_second"] == pytest.approx(2.5) and found["real"]["batches"] == 8
    assert found["replayed"]["steps_per_second"] == pytest.approx(10) and found["replayed"]["batches"] == 60 - 16 - 8
    assert found["gain_percent"] == pytest.approx(300) and "would make the run 300% faster" in report["verdict"]
    assert found["real"]["wait_share"] == pytest.approx(0.75) and found["modified"] == []


def test_a_loader_that_is_fast_enough_buys_nothing():
    slow = Slow(60, 0.0)
    head = Headspace(slow, now=lambda: slow.now)
    train(head, slow)
    assert head.report()["headspace"]["gain_percent"] == pytest.approx(0)
    assert head.report()["verdict"].startswith("an infinitely fast loader would not make the run faster")


def test_pauses_between_epochs_do_not_count():
    slow = Slow(30, 0.1)
    head = Headspace(slow, batches=20, warmup=5, now=lambda: slow.now)
    for _ in range(4):
        train(head, slow)
        slow.now += 3600
    assert head.report()["headspace"]["gain_percent"] == pytest.approx(100)


def test_epochs_shorter_than_what_is_to_be_kept():
    slow = Slow(5, 0.1)
    head = Headspace(slow, batches=8, warmup=4, now=lambda: slow.now)
    assert [train(head, slow) for _ in range(4)] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 5, 6, 7], [8, 9, 10, 11, 12]]
    assert head.epoch == 4


def test_a_break_goes_on_in_the_same_epoch():
    slow = Slow(10, 0.1)
    head, seen = Headspace(slow, batches=2, warmup=1, now=lambda: slow.now), []
    while head.epoch == 0:
        for batch in head:
            seen.append(int(batch["clip"][0]))
            break
        else:
            continue
    assert seen == [1, 2, 3, 2, 3, 2, 3, 2, 3, 2]


def test_a_consumer_may_do_to_the_dict_what_it_likes_but_tensors_are_shared():
    slow = Slow(30, 0.1)
    head = Headspace(slow, batches=4, warmup=0, now=lambda: slow.now)
    for batch in head:
        assert set(batch) == {"clip", "frames", "names"}
        batch["frames"].add_(1)
        batch.clear()
        slow.now += 0.1
    report = head.report()
    assert report["headspace"]["modified"] == ["frames"] and "changes frames in place" in report["verdict"]


def test_tensors_of_inference_mode_are_no_obstacle():
    slow = Slow(12, 0.1)
    head = Headspace(slow, batches=2, warmup=0, now=lambda: slow.now)
    with torch.inference_mode():
        assert len(train(head, slow)) == 12


def test_too_few_to_say():
    slow = Slow(10, 0.1)
    head = Headspace(slow, now=lambda: slow.now)
    train(head, slow)
    assert head.report()["headspace"]["gain_percent"] is None and "too few" in head.report()["verdict"]
    with pytest.raises(ValueError, match="batches=0"):
        Headspace(slow, batches=0)
    with pytest.raises(ValueError, match="gave no batch"):
        next(iter(Headspace(Slow(0, 0.1))))


def test_a_real_loader(shards):
    spec = ClipSpec(frames=0, pairs=("front",), sound_seconds=0.1)
    with Headspace(ClipLoader(shards, spec, batch_size=2), batches=2, warmup=1) as head:
        assert len(head) == 12 and head.clips == 24 and head.batch_size == 2
        first = [batch["clip"].tolist() for batch in head]
        assert len(first) == 12 and first[3:] == [first[1], first[2]] * 4 + [first[1]]
        assert head.epoch == 1 and head.state_dict()["position"] == 6 and head.state_dict()["epoch"] == 0
        saved = head.state_dict()
        head.load_state_dict(saved)
        assert head.epoch == 0 and len(list(head)) == 9  # the rest of that epoch
        report = head.report()
        assert {"stages", "queue_occupancy", "fallbacks", "headspace"} <= set(report)
    with pytest.raises(RuntimeError, match="was closed"):
        next(iter(head.loader))
