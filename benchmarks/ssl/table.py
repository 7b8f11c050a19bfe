"""All rows of all seeds, two at a time, and what they come to: mean and spread."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from benchmarks.ssl.job import EVALUATIONS, Job, do
from dataio.ingest.executors import local

MERIT = {"sp": ("miou_foreground", True), "s3r": ("stft_distance", False), "vr": ("recall_at_10", True)}
"""The figure of each column, and whether more is better."""


def run_all(jobs: Sequence[Job], workers: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Do the jobs, each after those of its seed that it needs; in the order given, as far as that allows.

    Raises:
        KeyboardInterrupt, or whatever a job raised; what is done stays done.
    """
    results: dict[tuple[int, str], dict[str, Any]] = {}
    left, begun = list(jobs), time.monotonic()
    with local(workers).session() as pool:  # its processes end with this one, however it ends
        running: dict[Future[dict[str, Any]], Job] = {}
        while left or running:
            ready = [job for job in left if all((job.seed, name) in results for name in job.row.needs)]
            for job in ready[: workers - len(running)]:
                left.remove(job)
                running[pool.submit(do, job)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                results[job.seed, job.row.name] = found = future.result()
                figures = ", ".join(f"{name} {found[name][MERIT[name][0]]:.3f}" for name in EVALUATIONS)
                minutes = (time.monotonic() - begun) / 60
                say(f"{len(results)} of {len(jobs)}, {minutes:.0f} min: seed {job.seed}, {job.row.title}: {figures}")
    return [results[job.seed, job.row.name] for job in jobs]


def summary(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Of every row and column the mean, the spread (sample standard deviation over the seeds; 0 for one) and the single values."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(result["row"] for result in results):
        for task, (merit, _) in MERIT.items():
            values = [result[task][merit] for result in results if result["row"] == name]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            found.setdefault(name, {})[task] = {"mean": statistics.mean(values), "spread": spread, "values": values}
    return found


def beats_random(table: dict[str, dict[str, Any]], row: str, task: str) -> bool:
    """Whether a row is better than the random encoder by more than the spread: the difference of the means is larger than the two
    standard deviations together.
    """
    mine, other = table[row][task], table["random"][task]
    gain = (mine["mean"] - other["mean"]) * (1 if MERIT[task][1] else -1)
    return bool(gain > mine["spread"] + other["spread"])


def markdown(table: dict[str, dict[str, Any]], titles: dict[str, str]) -> str:
    """The table for people; bold: better than the random encoder by more than the spread."""
    lines = ["| | SP ↑ mIoU, % | S³R ↓ STFT distance | VR ↑ recall at 10, % |", "|---|---|---|---|"]
    for row, columns in table.items():
        cells = []
        for task, cell in columns.items():
            scale = 100 if task == "sp" else 1
            digits = 3 if task == "s3r" else 1
            text = f"{scale * cell['mean']:.{digits}f} ± {scale * cell['spread']:.{digits}f}"
            cells.append(f"**{text}**" if row != "random" and beats_random(table, row, task) else text)
        lines.append(f"| {titles[row]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
