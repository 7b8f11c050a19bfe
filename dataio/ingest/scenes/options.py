"""What a set of scenes is asked to be, checked once."""

import math
from dataclasses import dataclass

WAV_LIMIT = 2**32 - 1024  # bytes of a RIFF file, less room for its headers
BYTES_PER_SAMPLE = 4  # two ears, 16 bits

LIMITS = {"recordings": (1, 10**6), "seed": (0, 2**63 - 1), "fps": (1, 240), "rate": (32_000, 192_000)}
"""Smallest and largest value of the whole numbers."""


@dataclass(frozen=True)
class Options:
    """The arguments of `write_recordings` that decide what is written.

    Raises:
        ValueError: one sentence with the name, the value and what is allowed.
    """

    recordings: int
    seconds: float
    seed: int
    size: tuple[int, int]
    fps: int
    rate: int

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not _whole(value) or not low <= value <= high:
                raise ValueError(f"{name}={value!r} is not allowed: it must be a whole number from {low} to {high}")
        longest = WAV_LIMIT // (BYTES_PER_SAMPLE * self.rate)
        number = isinstance(self.seconds, (int, float)) and not isinstance(self.seconds, bool)
        if not number or not 0.1 <= self.seconds <= longest:
            raise ValueError(
                f"seconds={self.seconds!r} is not allowed: it must be a number from 0.1 to {longest}, the longest wav file of "
                f"{self.rate} samples a second"
            )
        pair = isinstance(self.size, (tuple, list)) and len(self.size) == 2
        if not pair or not all(_whole(n) and n % 2 == 0 and 32 <= n <= 8192 for n in self.size):
            raise ValueError(f"size={self.size!r} is not allowed: it must be (height, width), both even and from 32 to 8192")

    @property
    def frames(self) -> int:
        """Frames of a recording: frame k is at k / fps, for every such time before the end."""
        return math.ceil(round(self.seconds * self.fps, 6))

    @property
    def samples(self) -> int:
        """Samples of a recording: sample n is at n / rate."""
        return round(self.seconds * self.rate)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
