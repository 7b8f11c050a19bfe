"""What a user asks a clip to hold. Wrong values are errors here, before anything is read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EncodeOptions:
    """What a clip holds. seconds: its length. fps: frames stored per second. size: (height, width). rate: Hz. quality: of JPEGs.

    Raises:
        ValueError: a value that makes no clip; the message names it.
    """

    seconds: float = 2.0
    fps: float = 4.0
    size: tuple[int, int] = (256, 512)
    rate: int = 96_000
    quality: int = 90

    def __post_init__(self) -> None:
        if not 8_000 <= self.rate <= 768_000:
            raise ValueError(f"rate {self.rate} is outside 8000 … 768000 Hz")
        if self.seconds <= 0 or not float(self.seconds * self.rate).is_integer():
            raise ValueError(f"clip seconds {self.seconds} must be positive and a whole number of samples at {self.rate} Hz")
        if not float(self.seconds * self.fps).is_integer() or self.seconds * self.fps < 1:
            raise ValueError(f"fps {self.fps:g} gives no whole number of frames in a clip of {self.seconds:g} s")
        if min(self.size) < 8 or max(self.size) > 16_384:
            raise ValueError(f"size {self.size[0]}x{self.size[1]} is outside 8 … 16384 pixels a side")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality {self.quality} is outside 1 … 100")

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)

    @property
    def samples(self) -> int:
        return round(self.seconds * self.rate)
