"""A DALI pipeline that survives what it cannot decode.

A part that DALI 2.4 cannot decode raises for the whole batch, leaves the pipeline invalid, and says nothing of which part it was.
Worse, the exception frees memory into which other threads are still decoding the rest of the batch: in nearly every trial the
process then died within a few calls. A part that is decoded alone raises just as well, and harms nothing: a hundred times in a row.

So what looks suspicious is tried alone before it may join a batch; and if a batch fails all the same, the pipeline is built anew,
every clip is tried alone, and those that fail are replaced.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from nvidia.dali.pipeline import Pipeline

from dataio.stream.decode.errors import DecodeError

Parts = Sequence[np.ndarray]
Build = Callable[[int], Pipeline]


class SafePipeline:
    """One input, one output.

    Args:
        name: of the input.
        build: makes a pipeline for batches of so many parts.
        suspicious: whether a part should be tried alone first.
        batch: parts of a whole batch at most.
    """

    def __init__(self, name: str, build: Build, suspicious: Callable[[np.ndarray], bool], *, batch: int) -> None:
        self._name, self._build, self._suspicious, self._batch = name, build, suspicious, batch
        self._pipe: Pipeline | None = build(batch) if batch else None  # no pictures: nothing will be decoded
        self._good: np.ndarray | None = None  # a part that was decoded once
        self._probe: Pipeline | None = None
        self.rebuilt = 0

    def run(self, clips: list[Parts], replace: Callable[[int, DecodeError], Parts]) -> Any:
        """Decode the parts of all clips as one flat batch; the result is valid until `release`.

        Args:
            replace: called with a clip's place and what is wrong with it; gives the parts to take instead, which `check` accepts.

        Raises:
            DecodeError: the batch fails, although every clip of it can be decoded alone.
        """
        for i, parts in enumerate(clips):
            if any(self._suspicious(part) for part in parts) and (found := self.check(parts)) is not None:
                clips[i] = replace(i, found)
        tries = 0
        while True:
            self._pipe = self._pipe or self._build(self._batch)  # not below: that it cannot be built is no clip's fault
            try:
                self._pipe.feed_input(self._name, [part for parts in clips for part in parts])
                self._pipe.schedule_run()
                decoded = self._pipe.share_outputs()[0]
                if self._good is None:
                    self._good = clips[0][0].copy()
                return decoded
            except RuntimeError as error:
                self._pipe, self.rebuilt, tries = None, self.rebuilt + 1, tries + 1
                culprits = [(i, found) for i, parts in enumerate(clips) if (found := self.check(parts)) is not None]
                if culprits and self._good is not None and self.check([self._good]) is not None:
                    raise  # not even what was decoded before: the device is broken or full, and the clips may be well
                if not culprits and tries > 1:
                    raise DecodeError(f"DALI fails for the batch, but for none of its clips alone: {_reason(error)}") from error
                for i, found in culprits:
                    clips[i] = replace(i, found)

    def check(self, parts: Parts) -> DecodeError | None:
        """What DALI says to the parts of a clip, each alone."""
        for i, part in enumerate(parts):
            self._probe = self._probe or self._build(1)
            try:
                self._probe.feed_input(self._name, [part])
                self._probe.run()
            except RuntimeError as error:
                self._probe = None
                return DecodeError(_reason(error), i)
        return None

    def release(self) -> None:
        """Let DALI use the memory of the last result again."""
        if self._pipe is not None:
            self._pipe.release_outputs()

    def close(self) -> None:
        self._pipe = self._probe = None


def _reason(error: Exception) -> str:
    """DALI's reason on one line, without the stack that it prints."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    after = [i for i, line in enumerate(lines) if line == "encountered:"]
    return lines[after[0] + 1] if after and after[0] + 1 < len(lines) else (lines or ["no reason given"])[0]
