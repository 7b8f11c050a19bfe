"""The builder with one worker and with two, against the ideal: all in one run, in turn."""

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.builder import contenders, material
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from train.environment import machine


def measure(
    folder: Path,
    *,
    source: tuple[int, int],
    recordings: int,
    seconds: float,
    fps: int,
    gop: int,
    b_frames: int,
    rounds: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Make recordings inside `folder`, and measure.

    The ideal clip takes the sum of decoding its needed frames, scaling, encoding them and reading its sound, each by the fastest
    contender; no checksum, no tar, no index, no disk. The builder does all of these, and syncs what it writes.

    Args:
        source: (height, width) of the recordings. gop, b_frames: how they are encoded.
        rounds: the stages and the builds take turns so often; medians are reported.

    Returns:
        JSON: clips/s of every stage and contender, `ideal`, `one_worker`, `two_workers`, `share` (one worker of the ideal) and
        `speed_up` (two workers of one).
    """
    options = BuildOptions(EncodeOptions(), split="train=1")
    raw, clips = folder / "recordings", int(seconds // options.encode.seconds)
    say(f"making {recordings} recordings of {seconds:g} s, {source[1]}x{source[0]}, {fps} frames/s, one key frame in {gop}")
    material.recordings(raw, count=recordings, seconds=seconds, size=source, fps=fps, gop=gop, b_frames=b_frames)
    found = contenders.stages(raw, options.encode, clips)
    rates: dict[str, dict[str, list[float]]] = {stage: {name: [] for name in group} for stage, group in found.items()}
    builds: dict[str, list[float]] = {"one worker": [], "two workers": []}
    for i in range(rounds):
        for stage, group in found.items():
            for name, run in group.items():
                say(f"round {i + 1} of {rounds}: {stage}, {name}")
                if i == 0:
                    run()  # warms up
                rates[stage][name].append(clips / _seconds(run))
        for workers, name in ((1, "one worker"), (2, "two workers")):
            say(f"round {i + 1} of {rounds}: build, {name}")
            out = folder / f"shards-{workers}"
            builds[name].append(recordings * clips / _seconds(lambda: build(raw, out, options, local(workers))))  # noqa: B023
            shutil.rmtree(out)
    medians = {stage: {name: statistics.median(r) for name, r in group.items()} for stage, group in rates.items()}
    fastest = {stage: max(group, key=group.__getitem__) for stage, group in medians.items()}
    ideal = 1 / sum(1 / medians[stage][name] for stage, name in fastest.items())
    one, two = (statistics.median(builds[name]) for name in builds)
    return {
        "bench": "build",
        "machine": machine(),
        "source": {
            "size": list(source),
            "seconds": seconds,
            "fps": fps,
            "gop": gop,
            "b_frames": b_frames,
            "recordings": recordings,
        },
        "options": asdict(options),
        "rounds": rounds,
        "unit": "clips/s",
        "stages": {
            stage: {name: {"median": statistics.median(r), "min": min(r), "max": max(r)} for name, r in group.items()}
            for stage, group in rates.items()
        },
        "fastest": fastest,
        "ideal": ideal,
        "one_worker": one,
        "two_workers": two,
        "builds": builds,
        "share": one / ideal,
        "speed_up": two / one,
    }


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
