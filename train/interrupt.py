"""Ctrl-C and SIGTERM as a polite request: finish the step, save, then stop."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupt:
    """While entered, SIGINT and SIGTERM only set `signal`; a second SIGINT stops at once with KeyboardInterrupt."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that this signal ended: 130 or 143."""
        return 128 + (self.signal or signal.SIGINT)
