"""Contenders that take turns in one run, so that a change of the machine's speed meets them all."""

import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


class Endless:
    """One batch a call, epoch after epoch. Loaders fill their queues while others have their turn, so these are emptied first."""

    def __init__(self, loader: Iterable[object], ahead: int) -> None:
        self._loader, self.ahead = loader, ahead
        self._batches: Iterator[object] = iter(())

    def __call__(self) -> object:
        for _ in range(3):  # the end of an epoch, and maybe one that was broken off after its last batch
            if (batch := next(self._batches, None)) is not None:
                return batch
            self._batches = iter(self._loader)
        raise ValueError("the loader gives no batch")


def rates(
    found: Mapping[Name, Callable[[], object]], clips: int, *, rounds: int, seconds: float, say: Callable[[str], None]
) -> dict[Name, dict[str, float]]:
    """Clips per second of every contender: median, min and max over the rounds.

    Args:
        found: each does one batch of `clips` clips a call.
        rounds: after one that warms up.
        seconds: of a turn, at least; and at least two calls.
    """
    seen: dict[Name, list[float]] = {name: [] for name in found}
    for i in range(rounds + 1):
        for name, run in found.items():
            words = ", ".join(name) if isinstance(name, tuple) else name
            say(f"{'warm-up' if not i else f'round {i} of {rounds}'}: {words}")
            for _ in range(run.ahead if isinstance(run, Endless) else 1):
                run()
            count, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds or count < 2:
                run()
                count += 1
            if i:
                seen[name].append(clips * count / elapsed)
    return {name: {"median": statistics.median(r), "min": min(r), "max": max(r)} for name, r in seen.items()}
