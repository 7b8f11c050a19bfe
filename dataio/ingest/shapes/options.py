"""What a set of pictures is asked to be, checked once."""

from dataclasses import dataclass

LIMITS = {"pictures": (1, 10**7), "seed": (0, 2**63 - 1), "size": (32, 2048)}
"""Smallest and largest value of the whole numbers."""


@dataclass(frozen=True)
class Options:
    """The arguments of `write_pictures` that decide what is written.

    Raises:
        ValueError: one sentence with the name, the value and what is allowed.
    """

    pictures: int
    seed: int
    size: int
    held_out: float

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"{name}={value!r} is not allowed: it must be a whole number from {low} to {high}")
        share = self.held_out
        if not isinstance(share, (int, float)) or isinstance(share, bool) or not 0.0 <= share < 1.0:
            raise ValueError(f"held_out={share!r} is not allowed: it must be a number from 0, and less than 1")

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each split."""
        val = min(round(self.pictures * self.held_out), self.pictures - 1)
        return {"train": self.pictures - val, "val": val}
