"""What a sound track is to those who read it."""

from typing import Protocol

import numpy as np


class Track(Protocol):
    """Sound at its own rate, whose sample 0 is heard when the first frame of the video is seen that can be shown (see
    `media.beginning`). seconds: its length from there.
    """

    rate: int
    seconds: float

    def read(self, start: int, count: int) -> np.ndarray:
        """(count, channels) int16 or float32; silence where the track has none. Starts never go back by much."""

    def close(self) -> None: ...
