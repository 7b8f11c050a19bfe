"""The standard clips of every bench: 8 JPEG frames of 512x256 and four binaural pairs at 96 kHz, 2 s each."""

from pathlib import Path


def standard_set(folder: Path, recordings: int = 8, seconds: float = 16.0, seed: int = 0) -> Path:
    """Synthesise and build a set of standard clips inside `folder`, which must be empty; returns where the shards lie."""
    from dataio.ingest.build import BuildOptions, build
    from dataio.ingest.executors import local
    from dataio.ingest.scenes import write_recordings

    write_recordings(folder / "recordings", recordings=recordings, seconds=seconds, seed=seed, size=(256, 512))
    build(folder / "recordings", folder / "shards", BuildOptions(split="train=1", shard_bytes=2**26), local(1))
    return folder / "shards"
