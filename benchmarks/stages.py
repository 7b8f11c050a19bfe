"""Each stage of the loader alone, the ceiling that they set, and the loader's share of it: all in one run, interleaved.

The ceiling is 1 / (decode + spectrogram) of a clip, each by the fastest contender on the same cores; `ceiling_with_rotation` adds
the turn, which is work that no implementation can leave out either.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import contenders
from benchmarks.machine import machine
from dataio.stream.loader import ClipLoader
from dataio.stream.order.choices import choose
from dataio.stream.reader import ClipReader
from dataio.stream.spec import ClipSpec
from dataio.stream.store.local import LocalStore

_SLICE = 0.5  # seconds that one contender runs in one round


def stages(
    shards: Path, spec: ClipSpec, *, batch_size: int, threads: int, rounds: int, device: str = "cpu", say: Callable[[str], None]
) -> dict:
    """Measure on a shard set.

    Args:
        rounds: every contender runs once a round, in turn, so that a change of the machine's speed meets all; medians are reported.
        say: told what is being measured.

    Returns:
        JSON: `stages` → contender → clips/s (median, min, max), `ceiling`, `loader`, `share`, and what made the ceiling.

    Raises:
        ValueError: the set has fewer clips than a batch. SpecError: it lacks what the spec asks for.
    """
    torch.set_num_threads(1)  # every contender gets its cores from `threads`
    with LocalStore(shards) as store, ExitStack() as stack:
        media = store.manifest.media
        if store.manifest.clips < batch_size:
            raise ValueError(f"{shards} holds {store.manifest.clips} clips, fewer than batch_size={batch_size}")
        reader = ClipReader(store, spec)
        ids = np.arange(batch_size)
        chosen = choose(spec, round(media.clip_seconds * media.rate), 0, 0, ids)
        rows = list(
            zip(ids.tolist(), chosen.start.tolist(), chosen.turn.tolist(), chosen.mirror.astype(bool).tolist(), strict=True)
        )
        raws = [reader.read(*row) for row in rows]
        found: dict[str, contenders.Contenders] = {
            "read": {"pread + CRC-32C, one thread": lambda: [reader.read(*row) for row in rows]}
        }
        loader_device = _usable(device)
        if loader_device == "cpu":
            found |= _on_cpu(stack, raws, media.size, spec, threads)
        else:
            found |= _on_gpu(raws, media.size, spec, loader_device, threads)
        loader = stack.enter_context(ClipLoader(shards, spec, batch_size=batch_size, threads=threads, device=loader_device))
        found["loader"] = {f"ClipLoader on {loader.device}": _Endless(loader)}
        rates = _measure(found, batch_size, rounds, say)
        report = loader.report()
    best = {stage: max(results, key=lambda name: results[name]["median"]) for stage, results in rates.items()}
    seconds = {stage: 1 / rates[stage][name]["median"] for stage, name in best.items()}
    ceiling = 1 / sum(seconds[stage] for stage in ("decode", "spectrogram") if stage in seconds)
    with_rotation = 1 / sum(seconds[stage] for stage in ("decode", "spectrogram", "rotate") if stage in seconds)
    rate = rates["loader"][best["loader"]]["median"]
    return {
        "bench": "stages",
        "machine": machine(),
        "spec": asdict(spec),
        "batch_size": batch_size,
        "threads": threads,
        "rounds": rounds,
        "unit": "clips/s",
        "stages": rates,
        "fastest": best,
        "ceiling": ceiling,
        "ceiling_with_rotation": with_rotation,
        "loader": rate,
        "share": rate / ceiling,
        "share_with_rotation": rate / with_rotation,
        "loader_report": report,
    }


def _usable(device: str) -> str:
    """Raises ValueError for a GPU that is not there: a bench must not measure something else in silence."""
    if device != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r}: no usable GPU here; use cpu")
    return device


def _on_cpu(
    stack: ExitStack, raws: list, stored: tuple[int, int], spec: ClipSpec, threads: int
) -> dict[str, contenders.Contenders]:
    found = {}
    if spec.frames:
        found["decode"] = stack.enter_context(contenders.decode_cpu(raws, stored, threads))
        found["rotate"] = stack.enter_context(contenders.rotate_cpu(raws, stored, spec, threads))
    if spec.pairs:
        found["spectrogram"] = stack.enter_context(contenders.spectrogram_cpu(raws, spec, threads))
    return found


def _on_gpu(raws: list, stored: tuple[int, int], spec: ClipSpec, device: str, threads: int) -> dict[str, contenders.Contenders]:
    from benchmarks import contenders_cuda

    found = {}
    if spec.frames:
        found["decode"] = contenders_cuda.decode(raws, device, threads)
        found["rotate"] = contenders_cuda.rotation(raws, stored, spec, device)
    if spec.pairs:
        found["spectrogram"] = contenders_cuda.spectrogram(raws, spec, device, threads)
    return found


class _Endless:
    """One batch a call, epoch after epoch. While others are measured it fills its queue, so that has to be emptied first."""

    READY = 5  # batches: two in the queue, one in the producer's hand, two under way

    def __init__(self, loader: ClipLoader) -> None:
        self._loader = loader
        self._batches: Iterator[object] = iter(())

    def __call__(self) -> None:
        if next(self._batches, None) is None:
            self._batches = iter(self._loader)
            next(self._batches)


def _measure(found: dict[str, contenders.Contenders], clips: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    rates: dict[str, dict[str, list[float]]] = {stage: {name: [] for name in group} for stage, group in found.items()}
    for i in range(rounds + 1):  # the first round warms up: compilers, caches, memory
        for stage, group in found.items():
            for name, run in group.items():
                say(f"{'warm-up' if not i else f'round {i} of {rounds}'}: {stage}, {name}")
                for _ in range(_Endless.READY if isinstance(run, _Endless) else 1):
                    run()
                count, start = 0, time.perf_counter()
                while (elapsed := time.perf_counter() - start) < _SLICE or count < 2:
                    run()
                    count += 1
                if i:
                    rates[stage][name].append(clips * count / elapsed)
    return {
        stage: {name: {"median": statistics.median(r), "min": min(r), "max": max(r)} for name, r in group.items()}
        for stage, group in rates.items()
    }
