"""A million shards and a billion clips: what it costs to open such a set, to plan a step, and to go on from a random position.

The manifest is real and complete. Of the shards, which would take a petabyte, those exist that the measured steps read: they are
one shard of a thousand tiny clips under many names.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from dataio.format import manifest
from dataio.format.folder import LocalFolder
from dataio.format.writer import SegmentWriter, write_shard
from train.environment import machine

RATE, SAMPLES = 8000, 800
BATCH, WORLD = 32, 8


def scale(folder: Path, *, shards: int, clips: int, rounds: int, seed: int) -> dict[str, Any]:
    """Measure in fresh processes.

    Args:
        folder: for the set, about 60 MB a million shards.
        clips: a shard.
        rounds: random positions.

    Returns:
        JSON: `seconds` and `above_imports_mib` (peak memory above what the imports take) of every round's worst: opening and
        planning a step (`plan`), and opening, restoring and delivering the next batch (`restore`).
    """
    _write(folder, shards, clips)
    runs: list[dict[str, Any]] = []
    for round_ in range(rounds):
        position = int(np.random.default_rng(seed + round_).integers(shards * clips))
        runs.append({"position": position} | {kind: _measure(folder, kind, position) for kind in ("plan", "restore")})
    return {
        "bench": "scale",
        "machine": machine(),
        "shards": shards,
        "clips": shards * clips,
        "manifest_mib": (folder / manifest.FILE).stat().st_size / 2**20,
        "rounds": runs,
        "worst": {
            kind: {what: max(run[kind][what] for run in runs) for what in ("seconds", "above_imports_mib", "peak_mib")}
            for kind in ("plan", "restore")
        },
    }


def _write(folder: Path, shards: int, clips: int) -> None:
    sound = np.random.default_rng(0).integers(-9999, 9999, (SAMPLES, 2)).astype(np.int16)

    def segment(i: int) -> Any:
        writer = SegmentWriter(f"r{i % 16}-{i // 16:06d}")
        writer.pcm("front.wav", sound, RATE)
        return writer.finish(f"r{i % 16}", i // 16 * 0.1)

    row = write_shard(LocalFolder(folder), "clips", "train", map(segment, range(clips)))
    one = manifest.build([row], manifest.Media(SAMPLES / RATE, 0, (0, 0), RATE, ("front",)), {"front.L": 0.1, "front.R": 0.1}, {})
    columns = {
        name: np.repeat(column, shards) for name, column in one.shards.items() if name not in ("recordings", "recording_begin")
    }
    columns["name"] = np.char.add(b"clips-", np.char.zfill(np.arange(shards).astype("S"), 7))
    # groups of sixteen recordings, dealt over a hundred shards each
    groups = -(-shards // 100)
    columns["recordings"] = (np.arange(shards)[:, None] // 100 * 16 + np.arange(16)).reshape(-1).astype(np.int32)
    columns["recording_begin"] = np.arange(shards + 1, dtype=np.int64) * 16
    names = np.char.add(b"r", np.arange(groups * 16).astype("S"))
    first = np.concatenate([[0], np.cumsum(columns["clips"], dtype=np.int64)])
    whole = manifest.Manifest(one.fingerprint, one.media, one.mean_rms, {}, one.splits, names, columns, first)
    (folder / manifest.FILE).write_bytes(whole.dump())


def _measure(folder: Path, kind: str, position: int) -> dict[str, float]:
    """One fresh process, which gets the shards of its windows linked beforehand."""
    from dataio.stream.order.mixture import Order, Source

    found = manifest.load(folder)
    order = Order([Source(found.fingerprint, found.first_clip, found.select(None))], seed=0, window=8)
    for _, shard in order.shards_ahead(0, position, 32):
        for extension in ("tar", "npz"):
            link = folder / f"{found.name(shard)}.{extension}"
            if not link.exists():
                link.symlink_to(f"clips.{extension}")
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.loader.scale", kind, str(folder), str(position)],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"measuring {kind} at position {position} failed: {run.stderr.strip().splitlines()[-1:]}")
    return json.loads(run.stdout)


def main(kind: str, folder: str, position: int) -> None:
    """In the fresh process: measure, and print JSON."""
    import time

    from dataio import ClipLoader, ClipSpec
    from dataio.stream.batch_cpu import CpuBatcher  # noqa: F401  numba and torch are part of the imports

    spec = ClipSpec(frames=0, sound_rate=RATE, sound_seconds=SAMPLES / RATE)
    before, start = _peak(), time.perf_counter()
    with ClipLoader(folder, spec, batch_size=BATCH, rank=3, world_size=WORLD) as loader:
        if kind == "plan":
            picks = loader.planned(0, np.arange(position, min(position + BATCH * WORLD, loader.clips)))
            assert len({pick.clip for pick in picks}) == len(picks)
        else:
            loader.load_state_dict(loader.state_dict() | {"position": position})
            batch = next(iter(loader))
            planned = loader.planned(0, np.arange(position + 3 * BATCH, position + 4 * BATCH))
            assert batch["clip"].tolist() == [pick.clip for pick in planned]
        seconds = time.perf_counter() - start
    peak = _peak()
    print(json.dumps({"seconds": seconds, "peak_mib": peak, "above_imports_mib": peak - before}))


def _peak() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
