"""In which order the tasks of a build run: units are encoded ahead of the shards that are made of them, so that no worker waits."""

import concurrent.futures
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from dataio.format.manifest import Shard
from dataio.ingest.deal import GROUP
from dataio.ingest.errors import SourceError
from dataio.ingest.executors import Executor, WorkerDiedError
from dataio.ingest.spool import SpoolError, Summary
from dataio.ingest.work import ShardTask

U = TypeVar("U")


@dataclass
class Group(Generic[U]):
    """Units whose clips are dealt over the same shards; the unit of resume.

    number: its place in the order in which shards are numbered. units: in the order of the names. done: shards it already has,
    if an earlier run finished it. encoded: summaries that an earlier run left, by name.
    """

    number: int
    split: str
    units: Sequence[U]
    done: int | None = None
    encoded: dict[str, Summary] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """A group whose shards are written. summaries: of its units, in their order. shards: rows for the manifest."""

    group: Group
    summaries: list[Summary]
    shards: list[Shard]


@dataclass(frozen=True)
class Work(Generic[U]):
    """What is done with the units, and what is known of them.

    encode, write: functions of (unit, split, *rest) and (shard task, *rest), and the rest of their arguments.
    name, weight: of a unit; the heaviest of a group begin first, so that none is left alone at the end.
    count: how many shards the encoded units make.
    alone: names of units that run while nothing else does: if a worker dies then, it is known at what.
    """

    encode: tuple[Callable[..., Summary], Sequence[Any]]
    write: tuple[Callable[..., Shard], Sequence[Any]]
    name: Callable[[U], str]
    weight: Callable[[U], int]
    count: Callable[[Sequence[Summary]], int]
    alone: Collection[str] = ()


@dataclass(frozen=True)
class Told(Generic[U]):
    """Who is told what.

    begun: a unit is handed out. encoded: this run has encoded it. waiting: called again and again. died: a worker has died, and
    one of these units, which were under way, may be to blame.
    """

    begun: Callable[[U], None]
    encoded: Callable[[U, Summary], None]
    waiting: Callable[[], None]
    died: Callable[[list[U]], None]


def ahead(slots: int) -> int:
    """How many groups that are not dealt yet may be encoded: no worker waits for one slow unit, and the disk holds no more."""
    return 2 + slots // GROUP


def run(executor: Executor, groups: Sequence[Group[U]], work: Work[U], told: Told[U]) -> Generator[Finished, None, None]:
    """Run what is left of the groups, and yield each as it is finished.

    A unit whose spool turns out to be damaged is encoded again, once.

    Raises:
        WorkerDiedError: `told.died` has been called. SpoolError: a spool is damaged again. SourceError: a unit that was encoded
            again is another now. Whatever encode and write raise.
    """
    state = _Run(executor, groups, work, told)
    try:
        with executor.session() as session:
            yield from state.through(session)
    except WorkerDiedError:
        told.died(state.under_way())
        raise


@dataclass
class _Dealt(Generic[U]):
    """A group whose shards are being written. left: tasks that are under way. failed: those that met a damaged spool."""

    group: Group[U]
    left: int
    shards: dict[int, Shard] = field(default_factory=dict)
    failed: list[ShardTask] = field(default_factory=list)
    damaged: dict[str, None] = field(default_factory=dict)
    repaired: set[str] = field(default_factory=set)


class _Run(Generic[U]):
    """What is under way."""

    def __init__(self, executor: Executor, groups: Sequence[Group[U]], work: Work[U], told: Told[U]) -> None:
        self._executor, self._work, self._told = executor, work, told
        self._waiting = deque(groups)  # not dealt yet
        self._units = deque(
            (group, unit)
            for group in groups
            if group.done is None
            for unit in sorted(group.units, key=lambda u: (work.name(u) not in work.alone, -work.weight(u), work.name(u)))
            if work.name(unit) not in group.encoded
        )
        self._running: dict[Future, tuple[Group[U], Any]] = {}  # units, and shard tasks
        self._dealt: dict[int, _Dealt[U]] = {}
        self._first = 0  # number of the next shard
        self._broken: Future | None = None  # the one whose error ends the run

    def through(self, session: concurrent.futures.Executor) -> Generator[Finished, None, None]:
        while True:
            yield from self._deal(session)
            self._hand_out(session)
            if not self._running:
                return
            done, _ = wait(self._running, timeout=0.5, return_when=FIRST_COMPLETED)
            self._told.waiting()
            for future in done:
                group, item = self._running[future]
                self._broken = future
                if isinstance(item, ShardTask):
                    self._written(self._dealt[group.number], item, future)
                else:
                    self._encoded(group, item, future.result())
                self._broken = None
                del self._running[future]
                dealt = self._dealt.get(group.number)
                if dealt is not None and not dealt.left:
                    if not dealt.failed:
                        del self._dealt[group.number]
                        yield Finished(group, self._summaries(group), [shard for _, shard in sorted(dealt.shards.items())])
                    elif dealt.damaged:
                        self._encode_again(session, dealt)
                    else:
                        self._write(session, dealt, dealt.failed)

    def under_way(self) -> list[U]:
        """Units at one of which a worker has died: the very one where that is known, or all that were handed out."""
        if self._broken is not None and isinstance(self._broken.exception(), WorkerDiedError):
            suspects = [self._running[self._broken]]
        else:
            suspects = [what for future, what in self._running.items() if not _succeeded(future)]
        return [item for _, item in suspects if not isinstance(item, ShardTask)]

    def _deal(self, session: concurrent.futures.Executor) -> Generator[Finished, None, None]:
        """Hand out the shards of the oldest groups, as far as those are all encoded: shards are numbered in this order."""
        while self._waiting and (self._waiting[0].done is not None or len(self._waiting[0].encoded) == len(self._waiting[0].units)):
            group = self._waiting.popleft()
            if group.done is not None:
                self._first += group.done
                continue
            tasks = _tasks(group, self._first, self._summaries(group), self._work.count)
            self._first += len(tasks)
            if tasks:
                self._dealt[group.number] = _Dealt(group, 0)
                self._write(session, self._dealt[group.number], tasks)
            else:
                yield Finished(group, self._summaries(group), [])

    def _hand_out(self, session: concurrent.futures.Executor) -> None:
        """Keep every worker busy with units of the oldest groups."""
        slots = self._executor.slots
        near = [group.number for group in islice((g for g in self._waiting if g.done is None), ahead(slots))]
        while self._units and len(self._running) < slots + 2 and self._units[0][0].number <= near[-1]:
            group, unit = self._units[0]
            alone = self._work.name(unit) in self._work.alone
            if self._running and (alone or self._is_alone()):
                break
            self._units.popleft()
            self._encode(session, group, unit)
            if alone or slots == 1:
                break  # a session without workers has finished it by now

    def _is_alone(self) -> bool:
        """Whether what runs must have no company."""
        _, item = next(iter(self._running.values()))
        return not isinstance(item, ShardTask) and self._work.name(item) in self._work.alone

    def _encode(self, session: concurrent.futures.Executor, group: Group[U], unit: U) -> None:
        self._told.begun(unit)
        function, rest = self._work.encode
        self._running[session.submit(function, unit, group.split, *rest)] = group, unit

    def _encoded(self, group: Group[U], unit: U, summary: Summary) -> None:
        name = self._work.name(unit)
        if (dealt := self._dealt.get(group.number)) is not None:  # its shards are numbered, and some are written
            if summary != group.encoded[name]:
                raise SourceError(f"{name} was changed while it was built from: build again, into another folder")
            dealt.left -= 1
        group.encoded[name] = summary
        self._told.encoded(unit, summary)

    def _write(self, session: concurrent.futures.Executor, dealt: _Dealt[U], tasks: list[ShardTask]) -> None:
        dealt.failed = []
        dealt.left = len(tasks)
        function, rest = self._work.write
        for task in tasks:
            self._running[session.submit(function, task, *rest)] = dealt.group, task

    def _written(self, dealt: _Dealt[U], task: ShardTask, future: Future) -> None:
        try:
            dealt.shards[task.part] = future.result()
        except SpoolError as error:
            if dealt.repaired.intersection(error.slugs):
                raise
            dealt.failed.append(task)
            dealt.damaged |= dict.fromkeys(error.slugs)
        dealt.left -= 1

    def _encode_again(self, session: concurrent.futures.Executor, dealt: _Dealt[U]) -> None:
        group, damaged = dealt.group, dealt.damaged
        units = [unit for unit in group.units if group.encoded[self._work.name(unit)].slug in damaged]
        dealt.repaired |= damaged.keys()
        dealt.damaged = {}
        dealt.left = len(units)
        for unit in units:
            self._encode(session, group, unit)

    def _summaries(self, group: Group[U]) -> list[Summary]:
        return [group.encoded[self._work.name(unit)] for unit in group.units]


def _succeeded(future: Future) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _tasks(group: Group, first: int, summaries: Sequence[Summary], count: Callable[[Sequence[Summary]], int]) -> list[ShardTask]:
    """The shards of a group whose units are all encoded; none if all of them were refused."""
    kept = [summary for summary in summaries if summary.reason is None]
    clips = sum(len(summary.clips) for summary in kept)
    shards = min(count(kept), clips)
    units = tuple((summary.slug, summary.clips) for summary in kept)
    return [ShardTask(f"clips-{first + part:06d}", group.split, units, part, shards) for part in range(shards)]
