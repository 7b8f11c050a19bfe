"""Does a loader grow on the device? Ten thousand batches, small ones, since what leaks leaks by the batch and not by the byte."""

import gc
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import material
from benchmarks.gpu.task import Task
from dataio.stream.loader import ClipLoader
from dataio.stream.spec import ClipSpec

BATCHES = 10_000
SETTLING = 0.2  # share of the batches, from the first, in which caches and allocators may still grow
MIB = 2**20
BARS = {"allocated": 1.0, "reserved": 4.0, "device_used": 8.0, "resident": 32.0, "descriptors": 0.5, "threads": 0.5}
"""By how much each may be larger at the end than when it had settled, MiB or pieces, and still count as not growing: torch
reserves in blocks of 2 MiB, other processes share the device, and the C library's arenas breathe. Over 8000 batches a leak of 4 KiB
a batch is 31 MiB."""


def measure(task: Task) -> None:
    """Notes `memory`: `batches`, how many there were of those `wanted`, and `quantities`: see `summary`."""
    shards = material.whole(task.material / "memory")
    spec = ClipSpec(
        frames=2, size=(32, 64), pairs=("front",), sound_rate=material.MAPS_RATE, sound_seconds=0.25, yaw_classes=4, augment=()
    )
    wanted = 60 if task.small else BATCHES
    samples: list[dict[str, float]] = []
    start, batches = time.perf_counter(), 0
    with ClipLoader(shards, spec, batch_size=6, device=str(task.device), threads=4) as loader:
        while batches < wanted and task.left > 8:
            for _ in loader:
                batches += 1
                if batches % (wanted // (10 if task.small else 100)) == 0:
                    samples.append({"batch": batches} | sample(task.device))
                    task.note("memory", summary(samples, batches, time.perf_counter() - start))
                if batches >= wanted or task.left <= 8:
                    break
    task.say(f"{batches} of {wanted} batches")
    task.note("memory", summary(samples, batches, time.perf_counter() - start))


def sample(device: torch.device) -> dict[str, float]:
    """MiB of torch's allocator (`allocated`, `reserved`), of the device by all processes, of this process; descriptors, threads."""
    gc.collect()
    found: dict[str, float] = {}
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        free, total = torch.cuda.mem_get_info(device)
        found = {
            "allocated": torch.cuda.memory_allocated(device) / MIB,
            "reserved": torch.cuda.memory_reserved(device) / MIB,
            "device_used": (total - free) / MIB,
        }
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return found | {"resident": resident / MIB, "descriptors": float(descriptors), "threads": float(threading.active_count())}


def summary(samples: list[dict[str, float]], batches: int, seconds: float) -> dict[str, Any]:
    """JSON: of every quantity `first`, `settled`, `last`, `slope_per_1000` batches, `grown`, its `bar`, and whether it is `level`.

    Medians of ten samples stand for a moment, since batches come and go.
    """
    settled = [row for row in samples if row["batch"] >= SETTLING * batches]
    found: dict[str, Any] = {}
    for name in [key for key in (samples[0] if samples else {}) if key != "batch"]:
        values = [row[name] for row in settled]
        slope = np.polyfit([row["batch"] / 1000 for row in settled], values, 1)[0] if len(settled) > 1 else 0.0
        before, after = float(np.median(values[:10])), float(np.median(values[-10:]))
        found[name] = {"first": samples[0][name], "settled": before, "last": after, "slope_per_1000": float(slope)}
        found[name] |= {"grown": after - before, "bar": BARS[name], "level": after - before <= BARS[name]}
    return {"batches": batches, "wanted": BATCHES, "seconds": seconds, "quantities": found}
