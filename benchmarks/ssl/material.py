"""The synthetic scenes of the table, with known truth, and the shards made of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

RECORDINGS, SECONDS, SEED = 300, 16.0, 0
SPLIT = "train=0.7,probe=0.1,val=0.2"
"""Tasks learn from `train`, without labels; the heads of the evaluations from `probe`, with them; the figures are of `val`."""


def material(folder: Path, *, recordings: int, workers: int, say: Callable[[str], None]) -> Path:
    """The shards, made if they are not there: frames of 64 × 128 twice a second, four pairs at 16 kHz, flow, mask and class maps.

    Every seed of the table has the same scenes: what differs between seeds is the training.
    """
    from dataio.format import manifest
    from dataio.ingest.build import BuildOptions, build
    from dataio.ingest.encode import EncodeOptions
    from dataio.ingest.executors import local
    from dataio.ingest.scenes import write_recordings

    shards, scenes = folder / "shards", folder / "recordings"
    try:
        manifest.load(shards)
        return shards
    except (FileNotFoundError, ValueError):
        say(f"synthesising {recordings} scenes of {SECONDS:g} s")
    write_recordings(scenes, recordings=recordings, seconds=SECONDS, seed=SEED, size=(128, 256), workers=workers)
    say("building shards")
    options = BuildOptions(
        EncodeOptions(size=(64, 128), fps=2.0, rate=16_000, flow=True, mask=True), split=SPLIT, shard_bytes=32 * 2**20
    )
    build(scenes, shards, options, local(workers))
    shutil.rmtree(scenes)
    return shards
