"""A meter whose clocks stand still until a test moves them, and a loader and consumer made of such movements."""

import threading
from collections.abc import Callable
from typing import Any

from dataio.stream.meter import Meter


class Clockwork:
    """Seconds by the wall, and of processor time, by hand."""

    def __init__(self) -> None:
        self.wall, self.processor = 1000.0, 5.0

    def meter(self, **arguments: Any) -> Meter:
        return Meter(now=lambda: self.wall, cpu=lambda: self.processor, **arguments)

    def spend(self, seconds: float, processor: float | None = None) -> None:
        self.wall += seconds
        self.processor += seconds if processor is None else processor


def in_thread(name: str, work: Callable[[], object]) -> None:
    """Do it in a thread of this name, to its end."""
    thread = threading.Thread(target=work, name=name)
    thread.start()
    thread.join()


def iterate(clockwork: Clockwork, meter: Meter, batches: int, wait: float, step: float, occupancy: float = 0.0) -> None:
    """Ask for so many batches of 4 clips, wait for each and then use it."""
    for _ in range(batches):
        asked = clockwork.wall
        clockwork.spend(wait)
        meter.delivered(4, occupancy, asked)
        clockwork.spend(step)
