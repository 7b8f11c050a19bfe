"""What a part of the check is told: where to measure, how long it may take, and where its figures go."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Task:
    """One part at work.

    device: `cuda`, or `cpu` in a rehearsal. small: sizes of a rehearsal, which prove only that it runs.
    until: by `time.monotonic`, when the part has to be done. material: folder for sets, shared by all parts of a call.
    note: keeps a figure at once, so that it stays when the part does not end well. say: tells what is going on.
    """

    device: torch.device
    small: bool
    until: float
    material: Path
    note: Callable[[str, Any], None]
    say: Callable[[str], None]

    @property
    def left(self) -> float:
        """Seconds; not below zero."""
        return max(0.0, self.until - time.monotonic())

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    def synchronize(self) -> None:
        """Wait until the device has done all that it was told; a CPU has always."""
        if self.cuda:
            torch.cuda.synchronize(self.device)


class PartError(Exception):
    """A part, or something in it, did not come out; the others and what was noted stand."""
