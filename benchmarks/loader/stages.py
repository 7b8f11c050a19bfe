"""Each stage of the loader alone, the ceiling that they set, and the loader's share of it: all in one run, interleaved.

The ceiling is 1 / (decode + rotate + spectrogram) of a clip, each by the fastest contender on the same cores; where decoding and
turning in one go (`frames`) is faster than the two, it takes their place. Reading and checking bytes, handing over tasks and
collecting batches are what the loader adds.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from benchmarks.loader import contenders
from benchmarks.loader.turns import Endless
from benchmarks.loader.turns import rates as turns
from benchmarks.machine import portable
from dataio.stream.loader import ClipLoader
from dataio.stream.order.choices import choose
from dataio.stream.reader import ClipReader
from dataio.stream.spec import ClipSpec
from dataio.stream.store.local import LocalStore
from train.environment import machine


def stages(
    shards: Path,
    spec: ClipSpec,
    *,
    batch_size: int,
    threads: int,
    rounds: int,
    seconds: float = 2.0,
    device: str = "cpu",
    say: Callable[[str], None],
) -> dict:
    """Measure on a shard set.

    Args:
        rounds: every contender runs once a round, in turn, so that a change of the machine's speed meets all; medians are reported.
        seconds: of a turn; a loader needs a moment to find its pace again after the others, so half a second is too short.
        say: told what is being measured.

    Returns:
        JSON: `stages` → contender → clips/s (median, min, max), `fastest` of each, `ceiling`, `loader` and its `share` of that.

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
        found["loader"] = {f"ClipLoader on {loader.device}": Endless(loader, loader.batches_ahead)}
        flat = {(stage, name): run for stage, group in found.items() for name, run in group.items()}
        measured = turns(flat, batch_size, rounds=rounds, seconds=seconds, say=say)
        rates = {stage: {name: measured[stage, name] for name in group} for stage, group in found.items()}
        report = portable(loader.report())
    rivals = {stage: [name for name in group if "a limit" not in name] for stage, group in rates.items()}
    best = {stage: max(names, key=lambda name: rates[stage][name]["median"]) for stage, names in rivals.items()}
    each = {stage: 1 / rates[stage][name]["median"] for stage, name in best.items()}
    apart = each.get("decode", 0.0) + each.get("rotate", 0.0)
    ceiling = 1 / (min(apart, each.get("frames", apart)) + each.get("spectrogram", 0.0))
    rate = rates["loader"][best["loader"]]["median"]
    return {
        "bench": "stages",
        "machine": machine(),
        "spec": asdict(spec),
        "batch_size": batch_size,
        "threads": threads,
        "rounds": rounds,
        "seconds": seconds,
        "unit": "clips/s",
        "stages": rates,
        "fastest": best,
        "ceiling": ceiling,
        "loader": rate,
        "share": rate / ceiling,
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
    found: dict[str, contenders.Contenders] = {}
    if spec.frames:
        found["decode"] = stack.enter_context(contenders.decode_cpu(raws, stored, threads))
        found["rotate"] = stack.enter_context(contenders.rotate_cpu(raws, stored, spec, threads))
        found["frames"] = stack.enter_context(contenders.frames_cpu(raws, stored, spec, threads))
    if spec.pairs:
        found["spectrogram"] = stack.enter_context(contenders.spectrogram_cpu(raws, spec, threads))
    return found


def _on_gpu(raws: list, stored: tuple[int, int], spec: ClipSpec, device: str, threads: int) -> dict[str, contenders.Contenders]:
    from benchmarks.loader import contenders_cuda

    found = {}
    if spec.frames:
        found["decode"] = contenders_cuda.decode(raws, device, threads)
        found["rotate"] = contenders_cuda.rotation(raws, stored, spec, device)
    if spec.pairs:
        found["spectrogram"] = contenders_cuda.spectrogram(raws, spec, device, threads)
    return found
