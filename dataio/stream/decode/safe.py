"""A DALI pipeline that survives what it cannot decode.

A part that DALI 2.4 cannot decode raises for the whole batch, leaves the pipeline invalid, and says nothing of which part it was.
Worse, the exception frees memory into which other threads are still decoding the rest of the batch: in nearly every trial the
process then died within a few calls. A part that is decoded alone raises just as well, and harms nothing: a hundred times in a row.

So what looks suspicious is tried alone before it may join a batch; and if a batch fails all the same, the pipeline is built anew,
every clip is tried alone, and those that fail are replaced.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nvidia.dali.pipeline import Pipeline

from dataio.stream.decode.errors import DecodeError


@dataclass(frozen=True)
class Encoded:
    """What a pipeline gets of one clip. inputs: by name, the parts of the clip, equally many each. doubtful: it should be tried
    alone.

    Parts of all clips make one flat batch.
    """

    inputs: dict[str, list[np.ndarray]]
    doubtful: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def alone(self) -> "Iterator[Encoded]":
        """Each part for itself."""
        for i in range(len(self)):
            yield Encoded({name: [parts[i]] for name, parts in self.inputs.items()})

    def copied(self) -> "Encoded":
        """In memory of its own."""
        return Encoded({name: [part.copy() for part in parts] for name, parts in self.inputs.items()})


Build = Callable[[int], Pipeline]
Replace = Callable[[int, DecodeError], Encoded]


def first_output(pipe: Pipeline) -> Any:
    """The output, as soon as it is there."""
    return pipe.share_outputs()[0]


class SafePipeline:
    """One output; decodes a batch in two steps, `begin` and `result`, between which it works by itself.

    Args:
        build: makes a pipeline for batches of so many parts.
        batch: parts of a whole batch at most; 0: nothing will be decoded.
        share: takes the output of a pipeline that was run.
    """

    def __init__(self, build: Build, *, batch: int, share: Callable[[Pipeline], Any] = first_output) -> None:
        self._build, self._batch, self._share = build, batch, share
        self._pipe: Pipeline | None = build(batch) if batch else None
        self._clips: list[Encoded] = []
        self._failed: RuntimeError | None = None
        self._good: Encoded | None = None  # a part that was decoded once
        self._probe: Pipeline | None = None
        self.rebuilt = 0

    def run(self, clips: list[Encoded], replace: Replace) -> Any:
        """`begin` and `result`."""
        self.begin(clips, replace)
        return self.result(replace)

    def begin(self, clips: list[Encoded], replace: Replace) -> None:
        """Have the parts of all clips decoded as one flat batch.

        Args:
            replace: called with a clip's place and what is wrong with it; gives what to take instead, which `check` accepts.
        """
        for i, clip in enumerate(clips):
            if clip.doubtful and (found := self.check(clip)) is not None:
                clips[i] = replace(i, found)
        self._clips, self._failed = clips, None
        self._start()

    def _start(self) -> None:
        self._pipe = self._pipe or self._build(self._batch)  # not below: that it cannot be built is no clip's fault
        try:
            _feed(self._pipe, self._clips)
            self._pipe.schedule_run()
        except RuntimeError as error:
            self._failed = error

    def result(self, replace: Replace) -> Any:
        """What was decoded, as `share` gives it; valid until `release`.

        Raises:
            DecodeError: the batch fails, although every clip of it can be decoded alone. RuntimeError: the device is broken.
        """
        tries = 0
        while True:
            error, self._failed = self._failed, None
            if error is None:
                assert self._pipe is not None
                try:
                    decoded = self._share(self._pipe)
                    if self._good is None:
                        self._good = next(self._clips[0].alone()).copied()
                    return decoded
                except RuntimeError as raised:
                    error = raised
            self._pipe, self.rebuilt, tries = None, self.rebuilt + 1, tries + 1
            culprits = [(i, found) for i, clip in enumerate(self._clips) if (found := self.check(clip)) is not None]
            if culprits and self._good is not None and self.check(self._good) is not None:
                raise error  # not even what was decoded before: the device is broken or full, and the clips may be well
            if not culprits and tries > 1:
                raise DecodeError(f"DALI fails for the batch, but for none of its clips alone: {_reason(error)}") from error
            for i, found in culprits:
                self._clips[i] = replace(i, found)
            self._start()

    def check(self, clip: Encoded) -> DecodeError | None:
        """What DALI says to the parts of a clip, each alone."""
        for i, part in enumerate(clip.alone()):
            self._probe = self._probe or self._build(1)
            try:
                _feed(self._probe, [part])
                self._probe.run()
            except RuntimeError as error:
                self._probe = None
                return DecodeError(_reason(error), i)
        return None

    def release(self) -> None:
        """Let DALI use the memory of the last result again."""
        self._clips = []
        if self._pipe is not None:
            self._pipe.release_outputs()

    def abandon(self) -> None:
        """Nobody will ask for the result of what has begun, or has only half begun."""
        self._pipe, self._clips, self._failed = None, [], None

    def close(self) -> None:
        self._pipe = self._probe = None


def _feed(pipe: Pipeline, clips: Sequence[Encoded]) -> None:
    for name in clips[0].inputs:
        pipe.feed_input(name, [part for clip in clips for part in clip.inputs[name]])


def _reason(error: Exception) -> str:
    """DALI's reason on one line, without the stack that it prints."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    after = [i for i, line in enumerate(lines) if line == "encountered:"]
    return lines[after[0] + 1] if after and after[0] + 1 < len(lines) else (lines or ["no reason given"])[0]
