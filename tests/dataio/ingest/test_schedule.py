"""Tasks run in an order that keeps workers busy and the disk small; who was under way when a worker died is known."""

import concurrent.futures
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from dataio.format.manifest import Shard
from dataio.ingest import schedule
from dataio.ingest.executors import Executor, Inline, WorkerDiedError
from dataio.ingest.schedule import Finished, Group, Told, Work, ahead, run
from dataio.ingest.sources import SourceError
from dataio.ingest.spool import SpoolError, Summary
from dataio.ingest.work import ShardTask


class Hand(Executor):
    """Calls end when they are told to: the last one first, but for those that are held back until nothing else is left."""

    def __init__(self, slots: int, held: tuple[str, ...] = ()) -> None:
        self.slots, self.held, self.most = slots, held, 0
        self.open: list[tuple[Future[Any], Any, tuple[Any, ...]]] = []

    @contextmanager
    def session(self) -> Iterator[concurrent.futures.Executor]:
        hand = self

        class Session(concurrent.futures.Executor):
            def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
                future: Future[Any] = Future()
                hand.open.append((future, fn, args))
                hand.most = max(hand.most, len(hand.open))
                return future

        yield Session()

    def one_ends(self) -> None:
        free = [call for call in self.open if call[2][0] not in self.held]
        call = (free or self.open)[-1]
        self.open.remove(call)
        future, function, args = call
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)


def encode(name: str, split: str) -> Summary:
    return Summary(name, name, clips=(0, 1), bytes=10)


def write(task: ShardTask) -> Shard:
    return Shard(task.name, 1, 1, 0, 0, 0, task.split, tuple(slug for slug, _ in task.units), ())


WORK = Work[str]((encode, ()), (write, ()), lambda name: name, lambda name: 1, lambda kept: 2)


def groups(count: int, size: int = 16) -> list[Group[str]]:
    return [Group(g, "train", [f"{g:02d}-{i:02d}" for i in range(size)]) for g in range(count)]


def told(**more: Any) -> Told[str]:
    def nothing(*_: Any) -> None: ...

    return Told(**({"begun": nothing, "encoded": nothing, "waiting": nothing, "died": nothing} | more))


def by_hand(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the run waits, one call ends."""

    def wait(futures: Any, **_: Any) -> tuple[set[Future[Any]], set[Future[Any]]]:
        hand.one_ends()
        return {future for future in futures if future.done()}, set()

    monkeypatch.setattr(schedule, "wait", wait)


@pytest.mark.parametrize(("slots", "bound"), [(2, 2), (8, 2), (16, 3), (64, 6)])
def test_one_slow_unit_does_not_fill_the_disk_with_others(monkeypatch: pytest.MonkeyPatch, slots: int, bound: int) -> None:
    assert ahead(slots) == bound
    hand = Hand(slots, held=("00-05",))
    by_hand(hand, monkeypatch)
    encoded: list[str] = []
    seen: list[int] = []

    def on_encoded(name: str, summary: Summary) -> None:
        if name == "00-05":
            seen.append(len(encoded))
        encoded.append(name)

    finished = list(run(hand, groups(20), WORK, told(encoded=on_encoded)))
    assert seen == [bound * 16 - 1]
    assert sorted(f.group.number for f in finished) == list(range(20))
    assert sorted(encoded) == [name for group in groups(20) for name in group.units]


def test_shards_are_numbered_in_the_order_of_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Hand(4, held=("00-00",))
    by_hand(hand, monkeypatch)
    given = groups(6)
    given[1].done = 5
    finished = sorted(run(hand, given, WORK, told()), key=lambda f: f.group.number)
    numbers = [[int(shard.name[-6:]) for shard in f.shards] for f in finished]
    assert numbers == [[0, 1], [7, 8], [9, 10], [11, 12], [13, 14]]
    assert hand.most <= 4 + 2 + 4  # two shards of a group are handed out however many run


def test_a_suspect_runs_while_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    hand, company = Hand(8), []
    by_hand(hand, monkeypatch)

    def begun(name: str) -> None:
        company.append((name, [args[0] for _, _, args in hand.open]))

    suspects = {"00-03", "00-09", "01-02", "04-01"}
    list(run(hand, groups(5), replace(WORK, alone=suspects), told(begun=begun)))
    beside = dict(company)
    assert len(beside) == 80
    assert [name for name, _ in company][:2] == ["00-03", "00-09"]
    for name, others in company:
        assert not suspects.intersection(others)
        assert name not in suspects or not others


def _crash(name: str, split: str) -> Summary:
    if name == "00-03":
        raise WorkerDiedError("gone")
    return encode(name, split)


def test_who_died_is_told_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[list[str]] = []
    hand = Hand(4)
    by_hand(hand, monkeypatch)
    with pytest.raises(WorkerDiedError):
        list(run(hand, groups(3), replace(WORK, encode=(_crash, ())), told(died=died.append)))
    assert died == [["00-03"]]


class Breaking(Hand):
    """A pool that breaks as a whole."""

    @contextmanager
    def session(self) -> Iterator[concurrent.futures.Executor]:
        with super().session() as session:
            try:
                yield session
            except KeyError as error:
                raise WorkerDiedError("gone") from error


def _break(name: str, split: str) -> Summary:
    if name == "00-03":
        raise KeyError
    return encode(name, split)


def test_all_that_were_under_way_are_told_where_a_pool_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[list[str]] = []
    hand = Breaking(4)
    by_hand(hand, monkeypatch)
    with pytest.raises(WorkerDiedError):
        list(run(hand, groups(3), replace(WORK, encode=(_break, ())), told(died=died.append)))
    assert died == [["00-00", "00-01", "00-02", "00-03"]]  # handed out first, and so the last to end


@pytest.mark.parametrize("slots", [1, 4])
def test_units_whose_spools_are_damaged_are_encoded_again(monkeypatch: pytest.MonkeyPatch, slots: int) -> None:
    damaged, encoded, hand = {"00-01", "00-07", "01-04"}, [], Hand(slots)
    by_hand(hand, monkeypatch)

    def mend(name: str, split: str) -> Summary:
        damaged.discard(name)
        encoded.append(name)
        return encode(name, split)

    def read(task: ShardTask) -> Shard:
        if found := sorted(damaged.intersection(slug for slug, _ in task.units)):
            raise SpoolError(found)
        return write(task)

    given = groups(2)
    given[0].encoded = {name: encode(name, "") for name in given[0].units}
    given[1].encoded = {name: encode(name, "") for name in given[1].units}
    executor: Executor = Inline() if slots == 1 else hand
    if slots == 1:
        monkeypatch.undo()
    finished: list[Finished] = list(run(executor, given, replace(WORK, encode=(mend, ()), write=(read, ())), told()))
    assert sorted(encoded) == ["00-01", "00-07", "01-04"]
    assert sorted(int(shard.name[-6:]) for f in finished for shard in f.shards) == [0, 1, 2, 3]


def test_a_disk_that_keeps_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(task: ShardTask) -> Shard:
        raise SpoolError(["00-01"])

    with pytest.raises(SpoolError, match=r"the unfinished 00-01\.spool is damaged; the same command goes on"):
        list(run(Inline(), groups(1), replace(WORK, write=(read, ())), told()))


def test_a_unit_that_is_encoded_again_and_is_another_is_an_error() -> None:
    def other(name: str, split: str) -> Summary:
        return Summary(name, name, clips=(0,), bytes=9)

    def read(task: ShardTask) -> Shard:
        raise SpoolError(["00-01"])

    given = groups(1)
    given[0].encoded = {name: encode(name, "") for name in given[0].units}
    with pytest.raises(SourceError, match="00-01 was changed while it was built from"):
        list(run(Inline(), given, replace(WORK, encode=(other, ()), write=(read, ())), told()))
