"""A loader at work for a while: its pace, its own account of where the time goes, and what that account costs."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import portable
from dataio.stream.loader import Loader
from dataio.stream.meter import Meter, Trace
from train.environment import machine

_CALLS = 20_000  # of the clock, to time one


def pace(loader: Loader, *, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Iterate for a while, epoch after epoch, and do nothing with the batches.

    Returns:
        JSON: the loader's `report`; `clips_per_second`; `meter`: clock calls a clip, the microseconds that one takes, and the
        `share` of the time of a clip's threads that they take together, without and with a trace.
    """
    start = time.perf_counter()
    cpu = time.process_time()
    clips = 0
    while (now := time.perf_counter() - start) < seconds:
        for batch in loader:
            clips += len(batch["clip"])
            if (now := time.perf_counter() - start) >= seconds:
                break
        say(f"{now:.0f} of {seconds:g} s: {clips / now:.0f} clips/s")
    busy = (time.process_time() - cpu) / clips
    report = portable(loader.report())
    calls = sum(stage["count"] for name, stage in report["stages"].items() if name != "wait") / max(report["clips"], 1)
    each = {"plain": _call(Meter())}
    with tempfile.TemporaryDirectory() as folder:
        trace = Trace(Path(folder) / "trace.json")
        each["trace"] = _call(Meter(trace))
        trace.close()
    return {
        "bench": "loader",
        "machine": machine(),
        "seconds": seconds,
        "clips_per_second": report["clips_per_second"],
        "cpu_ms_a_clip": 1e3 * busy,
        "meter": {
            "calls_a_clip": calls,
            "microseconds_a_call": {name: 1e6 * call for name, call in each.items()},
            "share": {name: calls * call / busy for name, call in each.items()},
        },
        "report": report,
    }


def _call(meter: Meter) -> float:
    """Seconds that one measurement takes, of the dearer kind."""
    for _ in range(100):
        with meter.clock("read", cpu=True):
            pass
    start = time.perf_counter()
    for _ in range(_CALLS):
        with meter.clock("read", cpu=True):
            pass
    return (time.perf_counter() - start) / _CALLS
