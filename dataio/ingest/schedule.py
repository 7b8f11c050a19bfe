"""In which order the tasks of a build run: units are encoded ahead of the shards that are made of them, so that no worker waits."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dataio.format.manifest import Shard
from dataio.ingest.executors import Executor
from dataio.ingest.spool import Summary
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


def run(
    executor: Executor,
    groups: Sequence[Group[U]],
    *,
    encode: tuple[Callable[..., Summary], Sequence[Any]],
    write: tuple[Callable[..., Shard], Sequence[Any]],
    weight: Callable[[U], int],
    name: Callable[[U], str],
    count: Callable[[Sequence[Summary]], int],
    on_unit: Callable[[U, Summary], None],
    on_wait: Callable[[], None],
) -> Generator[Finished, None, None]:
    """Run what is left of the groups, and yield each as it is finished.

    Args:
        encode, write: functions of (unit, split, *rest) and (shard task, *rest), and the rest of their arguments.
        weight: how much work a unit is; the heaviest of a group begin first, so that none is left alone at the end.
        count: how many shards the encoded units make.
        on_unit: told of every unit that this run encoded. on_wait: called again and again while waiting.
    """
    units = deque(
        (group, unit)
        for group in groups
        if group.done is None
        for unit in sorted(group.units, key=lambda u: (-weight(u), name(u)))
        if name(unit) not in group.encoded
    )
    running: dict[Future, tuple[str, Group[U], Any]] = {}
    shards: dict[int, dict[int, Shard]] = {}
    parts: dict[int, int] = {}
    waiting = deque(groups)
    first = 0
    with executor.session() as session:
        while True:
            while waiting and (waiting[0].done is not None or len(waiting[0].encoded) == len(waiting[0].units)):
                group = waiting.popleft()
                if group.done is not None:
                    first += group.done
                    continue
                tasks = _tasks(group, first, count, name)
                first += len(tasks)
                shards[group.number], parts[group.number] = {}, len(tasks)
                for task in tasks:
                    running[session.submit(write[0], task, *write[1])] = "write", group, task.part
                if not tasks:
                    yield Finished(group, _summaries(group, name), [])
            while units and len(running) < executor.slots + 2:
                group, unit = units.popleft()
                running[session.submit(encode[0], unit, group.split, *encode[1])] = "encode", group, unit
                if executor.slots == 1:
                    break  # a session without workers has finished it by now
            if not running:
                return
            done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            on_wait()
            for future in done:
                what, group, item = running.pop(future)
                if what == "encode":
                    group.encoded[name(item)] = future.result()
                    on_unit(item, group.encoded[name(item)])
                    continue
                shards[group.number][item] = future.result()
                if len(shards[group.number]) == parts[group.number]:
                    rows = [shard for _, shard in sorted(shards.pop(group.number).items())]
                    yield Finished(group, _summaries(group, name), rows)


def _summaries(group: Group[U], name: Callable[[U], str]) -> list[Summary]:
    return [group.encoded[name(unit)] for unit in group.units]


def _tasks(group: Group[U], first: int, count: Callable[[Sequence[Summary]], int], name: Callable[[U], str]) -> list[ShardTask]:
    """The shards of a group whose units are all encoded; none if all of them were refused."""
    kept = [summary for summary in _summaries(group, name) if summary.reason is None]
    clips = sum(len(summary.clips) for summary in kept)
    shards = min(count(kept), clips)
    units = tuple((summary.slug, summary.clips) for summary in kept)
    return [ShardTask(f"clips-{first + part:06d}", group.split, units, part, shards) for part in range(shards)]
