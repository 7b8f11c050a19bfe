"""How a set is built. Wrong values are errors here, before anything is read."""

from dataclasses import dataclass, field

from dataio.ingest.encode import EncodeOptions

SHARD_BYTES = 256 * 2**20


@dataclass(frozen=True)
class BuildOptions:
    """How a set is built. shard_bytes: aimed at, never far exceeded. split: shares by recording."""

    encode: EncodeOptions = field(default_factory=EncodeOptions)
    layout: str = "auto"
    split: str = "train=0.8,val=0.2"
    shard_bytes: int = SHARD_BYTES
    allow_mono: bool = False

    def __post_init__(self) -> None:
        if self.shard_bytes < 1:
            raise ValueError(f"shard bytes {self.shard_bytes} must be at least 1")
