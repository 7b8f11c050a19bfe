"""A small shard set, made once a test run from synthetic scenes."""

from pathlib import Path

from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings


def make_shards(
    folder: Path, *, recordings: int = 6, seconds: float = 8.0, split: str = "train=0.67,val=0.33", shard_bytes: int = 2**24
) -> Path:
    """Shards of clips with 4 frames of 32x64 and four pairs; a few clips a shard, so that order and windows have work."""
    write_recordings(folder / "recordings", recordings=recordings, seconds=seconds, seed=7, size=(32, 64))
    options = BuildOptions(EncodeOptions(size=(32, 64), fps=2.0), split=split, shard_bytes=shard_bytes)
    build(folder / "recordings", folder / "shards", options, local(1))
    return folder / "shards"
