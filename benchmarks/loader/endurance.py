"""Does a loader that runs for a long time grow? Memory, descriptors and threads over minutes of iteration, and their slope."""

import gc
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import portable
from dataio.stream.loader import ClipLoader
from dataio.stream.spec import ClipSpec
from train.environment import machine

EVERY = 5.0  # seconds between two samples
SETTLING = 0.2  # share of the run, from its beginning, in which caches and allocators may still grow


def endurance(
    shards: Path,
    spec: ClipSpec,
    *,
    batch_size: int,
    threads: int,
    minutes: float,
    breaks: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Iterate epoch after epoch, as a training run does.

    Args:
        breaks: after so many batches the iteration is broken off and resumed from its own state; 0: never.

    Returns:
        JSON: `slope_mib_per_minute` of the resident memory after settling (least squares), `descriptors` and `threads` at the first
        and the last sample, all `samples`, clips/s.
    """
    samples: list[dict[str, float]] = []
    start = time.perf_counter()
    clips = batches = 0
    with ClipLoader(shards, spec, batch_size=batch_size, threads=threads) as loader:
        while (now := time.perf_counter() - start) < 60 * minutes:
            for batch in loader:
                clips, batches = clips + len(batch["clip"]), batches + 1
                now = time.perf_counter() - start
                if not samples or now - samples[-1]["seconds"] >= EVERY:
                    samples.append(_sample(now))
                    say(f"{now / 60:5.1f} of {minutes:g} minutes: {samples[-1]['mib']:.0f} MiB, {clips / now:.0f} clips/s")
                if now >= 60 * minutes or (breaks and batches % breaks == 0):
                    break
            if breaks and batches % breaks == 0:
                loader.load_state_dict(loader.state_dict())
        report = portable(loader.report())
    settled = [s for s in samples if s["seconds"] >= SETTLING * 60 * minutes]
    slope = np.polyfit([s["seconds"] / 60 for s in settled], [s["mib"] for s in settled], 1)[0] if len(settled) > 1 else 0.0
    return {
        "bench": "endurance",
        "machine": machine(),
        "spec": asdict(spec),
        "batch_size": batch_size,
        "threads_asked": threads,
        "minutes": minutes,
        "clips": clips,
        "clips_per_second": clips / (time.perf_counter() - start),
        "slope_mib_per_minute": float(slope),
        "mib": {"first": samples[0]["mib"], "settled": settled[0]["mib"], "last": samples[-1]["mib"]},
        "descriptors": {"first": samples[0]["descriptors"], "last": samples[-1]["descriptors"]},
        "threads": {"first": samples[0]["threads"], "last": samples[-1]["threads"], "after_close": threading.active_count()},
        "samples": samples,
        "loader_report": report,
    }


def _sample(seconds: float) -> dict[str, float]:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "seconds": seconds,
        "mib": resident / 2**20,
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": threading.active_count(),
    }
