"""What the decoders of the device can do alone: DALI's operator, fed with the same bytes from memory, and nothing behind it.

Two batches are under way at any time, so that the host's part of one meets the device's part of another. How many threads and how
much of the work for the hardware engine are best is found out, in the same run, since both depend on the chip and its host.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def
from nvidia.dali.pipeline import Pipeline
from nvidia.dali.types import DALIDataType, DALIImageType

from benchmarks.gpu.task import Task

_AHEAD = 2  # batches


class Decoding:
    """One batch a call; returns when it is decoded, with the next one under way. `close` waits for that."""

    def __init__(self, pipe: Pipeline, data: Sequence[np.ndarray]) -> None:
        self._pipe, self._data = pipe, list(data)
        for _ in range(_AHEAD):
            self._pipe.feed_input("data", self._data)
        self._pipe.schedule_run()  # the first fills the queue: it takes as many batches as the queue is deep

    def __call__(self) -> None:
        self._pipe.share_outputs()
        self._pipe.release_outputs()
        self._pipe.feed_input("data", self._data)
        self._pipe.schedule_run()

    def close(self) -> None:
        for _ in range(_AHEAD):
            self._pipe.share_outputs()
            self._pipe.release_outputs()


@dataclass(frozen=True)
class Ceiling:
    """The fastest that was found. run: does one batch a call. tried: settings → batches a second."""

    run: Decoding
    settings: str
    tried: dict[str, float]


def jpegs(
    task: Task,
    data: Sequence[np.ndarray],
    seconds: float,
    *,
    threads: Sequence[int] = (2, 4, 8, 16),
    loads: Sequence[float] = (0.0, 0.65, 1.0),
) -> Ceiling:
    """Of nvJPEG, for these JPEGs as one batch; each of these settings is tried for so many seconds.

    `fancy` enlarges chroma as libjpeg-turbo does, with the most threads: what that costs, since only so are the pictures the CPU's.
    """
    if task.small:
        threads, loads = threads[:1], loads[:1]

    def build(threads: int, load: float, fancy: bool = False) -> Pipeline:
        hardware = {"hw_decoder_load": load, "jpeg_fancy_upsampling": fancy} if task.cuda else {}
        return _jpegs(_operator(task), hardware, **_sizes(task, len(data), threads))

    made = {f"{t} threads, hw_decoder_load={load}": partial(build, t, load) for t, load in product(threads, loads)}
    if task.cuda:
        made |= {f"{threads[-1]} threads, hw_decoder_load={load}, fancy": partial(build, threads[-1], load, True) for load in loads}
    return _fastest(task, made, data, seconds)


def videos(task: Task, data: Sequence[np.ndarray], numbers: Sequence[int], seconds: float) -> Ceiling:
    """Of NVDEC, for these containers as one batch, of each the frames with these numbers."""
    threads = (1,) if task.small else (2, 4, 8)

    def build(threads: int) -> Pipeline:
        return _videos(_operator(task), list(numbers), **_sizes(task, len(data), threads))

    return _fastest(task, {f"{t} threads": partial(build, t) for t in threads}, data, seconds)


def _fastest(task: Task, found: Mapping[str, Callable[[], Pipeline]], data: Sequence[np.ndarray], seconds: float) -> Ceiling:
    """One at a time, since all their pools together might not fit the device; the best is built again.

    Raises:
        RuntimeError: what DALI says, if it can do none of them.
    """
    tried: dict[str, float] = {}
    wrong: RuntimeError | None = None
    for name, build in found.items():
        try:
            run = Decoding(build(), data)
            tried[name] = rate(task, run, seconds)
            run.close()
        except RuntimeError as error:  # settings that this chip does not take
            wrong = error
    if not tried:
        raise wrong or RuntimeError("nothing was tried")
    best = max(tried, key=lambda name: tried[name])
    return Ceiling(Decoding(found[best](), data), best, tried)


def rate(task: Task, run: Callable[[], object], seconds: float, warm: int = 3) -> float:
    """Calls a second, after some that do not count."""
    for _ in range(warm):
        run()
    task.synchronize()
    count, start = 0, time.perf_counter()
    while (now := time.perf_counter() - start) < seconds or count < 2:
        run()
        count += 1
    task.synchronize()
    return count / max(now, time.perf_counter() - start)


def _operator(task: Task) -> str:
    return "mixed" if task.cuda else "cpu"


def _sizes(task: Task, batch: int, threads: int) -> dict[str, Any]:
    number = (task.device.index or 0) if task.cuda else None
    common = {"prefetch_queue_depth": _AHEAD, "exec_dynamic": False}
    return {"batch_size": batch, "num_threads": threads, "device_id": number, **common}


@pipeline_def(enable_conditionals=False)
def _jpegs(operator: str, hardware: dict[str, Any]):
    data = fn.external_source(name="data", ndim=1, dtype=DALIDataType.UINT8)
    return fn.decoders.image(data, device=operator, output_type=DALIImageType.RGB, **hardware)


@pipeline_def(enable_conditionals=False)
def _videos(operator: str, numbers: list[int]):
    data = fn.external_source(name="data", ndim=1, dtype=DALIDataType.UINT8)
    return fn.decoders.video(data, device=operator, frames=numbers, pad_mode="none")
