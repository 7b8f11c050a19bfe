"""Is it exact? The order for any number of ranks and threads, byte by byte, and resumes at random places, on a real set."""

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dataio.stream.loader import ClipLoader
from dataio.stream.spec import ClipSpec
from train.environment import machine

GLOBAL = 16  # clips a step, over all ranks
WORLDS, THREADS = (1, 2, 4, 8), (1, 2, 8)


def resume(shards: Path, spec: ClipSpec, *, places: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Audit one set.

    Args:
        places: random places at which a run stops, to go on with another number of ranks and another batch size. Every second one
            is the second stop of the same run.

    Returns:
        JSON: `order_files`, the SHA-256 of what each number of ranks and threads delivered, in one epoch (`same`: whether all are
        one); `resumes` and how many of them `lost` or `repeated` a clip or changed the order; `restore_seconds`, median and worst,
        from making a loader to its first batch.
    """
    hashes = {}
    for world in WORLDS:
        for threads in THREADS:
            say(f"order file of {world} ranks with {threads} threads each")
            hashes[f"{world}x{threads}"] = hashlib.sha256(order_file(shards, spec, world, threads)).hexdigest()
    draw = random.Random(seed)
    whole, _ = _run(shards, spec, 1, GLOBAL, None, None, [])
    lost = repeated = reordered = 0
    times: list[float] = []
    for number in range(0, places, 2):
        say(f"resume {number} of {places}")
        seen: list[int] = []
        state: dict[str, Any] | None = None
        for last in (False, False, True):
            world, batch = draw.choice(WORLDS), draw.choice((1, 2, 3, 5, 8, 16))
            left = (len(whole) - len(seen)) // (world * batch)
            part, state = _run(shards, spec, world, batch, state, None if last else draw.randint(0, left), times)
            seen += part
        lost += len(set(whole) - set(seen))
        repeated += len(seen) - len(set(seen))
        reordered += seen != whole
    times.sort()
    return {
        "bench": "resume",
        "machine": machine(),
        "spec": asdict(spec),
        "clips": len(whole),
        "order_files": hashes,
        "same": len(set(hashes.values())) == 1,
        "resumes": 2 * len(range(0, places, 2)),
        "lost": lost,
        "repeated": repeated,
        "reordered": reordered,
        "restore_seconds": {"median": times[len(times) // 2], "max": times[-1]},
    }


def order_file(shards: Path, spec: ClipSpec, world: int, threads: int) -> bytes:
    """One line a clip of an epoch, with all that was drawn for it, rank after rank within a step."""
    loaders = [
        ClipLoader(shards, spec, batch_size=GLOBAL // world, rank=r, world_size=world, threads=threads, epochs=1)
        for r in range(world)
    ]
    lines = []
    try:
        for step in zip(*loaders, strict=True):
            for batch in step:
                small = [value.tolist() for name, value in sorted(batch.items()) if value.ndim == 1]
                lines += [json.dumps(row) for row in zip(*small, strict=True)]
    finally:
        for loader in loaders:
            loader.close()
    return "\n".join(lines).encode()


def _run(
    shards: Path, spec: ClipSpec, world: int, batch: int, state: dict[str, Any] | None, steps: int | None, times: list[float]
) -> tuple[list[int], dict[str, Any]]:
    """Clips that all ranks together get in so many steps (None: to the end of the epoch), and the state afterwards."""
    began = time.perf_counter()
    loaders = [
        ClipLoader(shards, spec, batch_size=batch, rank=r, world_size=world, threads=1, last_batch="partial") for r in range(world)
    ]
    seen: list[int] = []
    try:
        for loader in loaders:
            if state is not None:
                loader.load_state_dict(json.loads(json.dumps(state)))
        iterators: list[Iterator[Any]] = [iter(loader) for loader in loaders]
        taken = 0
        while steps is None or taken < steps:
            batches = [found for iterator in iterators if (found := next(iterator, None)) is not None]
            if not batches:
                break
            if state is not None and not taken:
                times.append((time.perf_counter() - began) / world)
            seen += [clip for part in batches for clip in part["clip"].tolist()]
            taken += 1
        return seen, loaders[0].state_dict()
    finally:
        for loader in loaders:
            loader.close()
