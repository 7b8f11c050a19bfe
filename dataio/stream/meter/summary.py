"""From the tallies of many threads to the tables of a report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dataio.stream.meter.clocks import Tallies, Tally
from dataio.stream.meter.pace import Pace
from dataio.stream.meter.queues import Level
from dataio.stream.meter.verdict import Group

STAGES = ("read", "decode", "rotate", "spectrogram", "maps", "views", "copy", "wait")
"""In the order in which a report shows them; others follow by name."""

Sums = dict[tuple[str, str], tuple[float, float, float]]
"""By group of threads and stage: seconds by the wall clock, those of them with processor time beside, that processor time."""


def sums(tallies: Iterable[tuple[str, Tallies]]) -> Sums:
    found: Sums = {}
    for group, stages in tallies:
        for stage, tally in list(stages.items()):
            wall, timed, worked = found.get((group, stage), (0.0, 0.0, 0.0))
            # what was not timed by the processor counts as much in `work` as in `wall`
            untimed = tally.wall - tally.timed
            found[group, stage] = (wall + tally.wall, timed + tally.timed, worked + tally.work - untimed)
    return found


def groups(now: Sums, before: Sums, threads: Mapping[str, int], levels: Mapping[str, Level]) -> list[Group]:
    """What each kind of thread did between the two moments, by name."""
    nothing = (0.0, 0.0, 0.0)
    found: dict[str, dict[str, tuple[float, ...]]] = {}
    for (group, stage), values in now.items():
        earlier = before.get((group, stage), nothing)
        found.setdefault(group, {})[stage] = tuple(max(0.0, a - b) for a, b in zip(values, earlier, strict=True))
    made = []
    for name, stages in sorted(found.items()):
        level = levels.get(name)
        made.append(
            Group(
                name,
                max(1, threads.get(name, 1)),
                {stage: values[0] for stage, values in sorted(stages.items())},
                sum(values[1] for values in stages.values()),
                sum(values[2] for values in stages.values()),
                level.mean if level else None,
                level.empty_share if level else None,
            )
        )
    return made


def stages(tallies: Sequence[tuple[str, Tallies]], groups: Sequence[Group], pace: Pace) -> dict[str, dict[str, Any]]:
    """One line for each stage that was measured, and for waiting; see `Meter.report`."""
    by_stage: dict[str, list[Tally]] = {}
    for _, found in tallies:
        for stage, tally in list(found.items()):
            by_stage.setdefault(stage, []).append(tally)
    if pace.waits.count:
        by_stage.setdefault("wait", []).append(pace.waits)
    order = {stage: i for i, stage in enumerate(STAGES)}
    lines = {}
    for stage in sorted(by_stage, key=lambda s: (order.get(s, len(order)), s)):
        found_line = line(by_stage[stage])
        if not found_line["count"]:
            continue
        if stage == "wait":
            found_line["queue"] = pace.occupancy
        else:
            found_line["threads"] = sum(g.seconds.get(stage, 0.0) for g in groups) / pace.elapsed if pace.elapsed > 0 else 0.0
            waiting = [g.queue for g in groups if stage in g.seconds and g.queue is not None]
            if waiting:
                found_line["queue"] = sum(waiting)
        lines[stage] = found_line
    return lines


def line(tallies: Sequence[Tally]) -> dict[str, Any]:
    """Percentiles of the newest, and sums of all measurements of one stage."""
    newest = [seconds for tally in tallies for seconds in list(tally.newest)]  # a copy first, as its thread may be adding
    median, p95, p99 = np.percentile(newest, (50, 95, 99)).tolist() if len(newest) else (0.0, 0.0, 0.0)
    wall, size = sum(tally.wall for tally in tallies), sum(tally.bytes for tally in tallies)
    found: dict[str, Any] = {
        "median_ms": 1e3 * median,
        "p95_ms": 1e3 * p95,
        "p99_ms": 1e3 * p99,
        "seconds": sum(tally.work for tally in tallies),
        "wall_seconds": wall,
        "count": sum(tally.count for tally in tallies),
    }
    if size:
        found |= {"bytes": size, "bytes_per_second": size / wall if wall > 0 else 0.0}
    return found
