"""What would an infinitely fast loader buy? A few batches are taken from the real one and then handed out again and again.

The gain it finds is an upper bound: no work on the loader can win more than that (SPDL calls this the head space of a run).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from dataio.stream.meter.pace import Pace

_FEW = 4  # measured batches of either kind that are too few to compare


class Headspace:
    """Takes the place of a loader in a training loop, for a measurement: what such a run learns is worth nothing.

    The first `warmup` batches are real and not measured, as compiling and warming up belong to neither side; the next `batches` are
    real and measured; from then on these are replayed, in the same order, to the end of this epoch and in all that follow. While
    they are replayed first, the loader's threads fill their queues for the last time, so that round is not measured.

    Every batch is a new dict of the same tensors: copying them would cost what is to be measured. A consumer that changes tensors
    in place therefore meets them changed; the report names the fields. A consumer that only queues work for a GPU is measured right
    once that queue is full, so give it more `warmup` and `batches` if it never waits for a result.

    Args:
        loader: iterable with a length, whose batches are dicts with `clip`, as ClipLoader. All else that it can is passed on to it.
        batches: that are kept; that much memory is held beside the loader's own.
        warmup: real batches before them.
        now: clock, in seconds.

    Raises:
        ValueError: `batches` < 1 or `warmup` < 0, or, when iterated, a loader that gives no batch.
    """

    def __init__(self, loader: Any, batches: int = 8, warmup: int = 8, *, now: Callable[[], float] = time.perf_counter) -> None:
        if batches < 1 or warmup < 0:
            raise ValueError(f"batches={batches} must be at least 1, warmup={warmup} at least 0")
        self.loader, self.batches, self.warmup = loader, batches, warmup
        self._now = now
        self._real, self._replayed = Pace(), Pace()
        self._kept: list[dict[str, Any]] = []
        self._versions: list[dict[str, int]] = []
        self._modified: dict[str, None] = {}
        self._taken = self._served = 0  # real and replayed batches
        self._step = 0  # of the epoch
        self._epoch: int | None = None  # of replayed epochs; None: as the loader has it

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # not there yet
            raise AttributeError(name)
        return getattr(self.loader, name)

    @property
    def epoch(self) -> int:
        """Of the next batch, counting replayed epochs."""
        return self._epoch if self._epoch is not None else int(getattr(self.loader, "epoch", 0))

    @property
    def replaying(self) -> bool:
        return len(self._kept) == self.batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            if not self.replaying:
                steps = len(self.loader)
                self._step = self._step or _begun(self.loader, steps)
                epoch = self.epoch
                yield from self._take()
                if not self.replaying:  # the loader's epoch ended before there were enough
                    if not self._taken:
                        raise ValueError(f"the loader of {steps} steps gave no batch, so there is none to replay")
                    self._step = 0
                    return
                self._epoch = epoch
            while self._step < len(self.loader):
                yield self._replay()
            self._epoch, self._step = self.epoch + 1, 0
        finally:
            self._real.paused(self._now())
            self._replayed.paused(self._now())

    def _take(self) -> Iterator[dict[str, Any]]:
        real = iter(self.loader)
        try:
            while not self.replaying:
                asked = self._now()
                batch = next(real, None)
                if batch is None:
                    return
                self._taken, self._step = self._taken + 1, self._step + 1
                if self._taken >= self.warmup:  # the last of these is where the measurement begins
                    self._real.delivered(_clips(batch), 0.0, asked, self._now())
                if self._taken > self.warmup:
                    self._kept.append(dict(batch))
                    self._versions.append(_versions(batch))
                yield batch
        finally:
            if hasattr(real, "close"):
                real.close()  # the loader may go on with another iteration, and count this one as ended

    def _replay(self) -> dict[str, Any]:
        asked, i = self._now(), self._served % self.batches
        batch, known = self._kept[i], self._versions[i]
        for name, version in _versions(batch).items():
            if version != known.get(name, version):
                self._modified[name] = None
        self._served, self._step = self._served + 1, self._step + 1
        if self._served >= self.batches:
            self._replayed.delivered(_clips(batch), 1.0, asked, self._now())
        return dict(batch)

    def state_dict(self) -> dict[str, Any]:
        """That of the loader: real batches alone count."""
        return self.loader.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Has the loader go on from there; batches that were kept stay."""
        self.loader.load_state_dict(saved)
        self._epoch, self._step = None, _begun(self.loader, len(self.loader))

    def report(self) -> dict[str, Any]:
        """The loader's own report, if it has one, with `verdict` replaced by what was found here and `headspace` added.

        That holds `real` and `replayed` with `batches`, `steps_per_second`, `clips_per_second` and `wait_share`; `gain_percent`, by
        which an infinitely fast loader would raise the steps per second (None while there are too few); `modified`, the fields
        that the consumer changes in place.
        """
        real, replayed = self._real, self._replayed
        few = max(1, min(_FEW, self.batches - 1))
        enough = min(real.batches, replayed.batches) >= few and real.elapsed > 0 and replayed.elapsed > 0
        gain = replayed.batches_per_second / real.batches_per_second - 1 if enough else None
        found = {
            "real": _line(real),
            "replayed": _line(replayed),
            "gain_percent": None if gain is None else 100 * gain,
            "modified": list(self._modified),
        }
        own = self.loader.report() if hasattr(self.loader, "report") else {}
        return own | {"headspace": found, "verdict": self._sentence(gain)}

    def _sentence(self, gain: float | None) -> str:
        real, replayed = self._real, self._replayed
        if gain is None:
            return f"{real.batches} real and {replayed.batches} replayed batches are too few to say what a faster loader would buy"
        rates = f"{real.batches_per_second:.3g} steps/s with real batches, {replayed.batches_per_second:.3g} with replayed ones"
        if gain < 0.01:
            text = f"an infinitely fast loader would not make the run faster: {rates}"
        else:
            text = f"an infinitely fast loader would make the run {gain:.0%} faster: {rates}"
        if self._modified:
            text += f"; the consumer changes {', '.join(self._modified)} in place, so replayed values are not real ones"
        return text

    def close(self) -> None:
        """Let go of the batches, and close the loader."""
        self._kept, self._versions = [], []
        if hasattr(self.loader, "close"):
            self.loader.close()

    def __enter__(self) -> "Headspace":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _begun(loader: Any, steps: int) -> int:
    """Steps of the epoch that were taken before, where the loader can tell: it may have been restored in the middle of one."""
    if not (hasattr(loader, "state_dict") and hasattr(loader, "batch_size")):
        return 0
    position = loader.state_dict().get("position", 0)
    return min(steps, -(-position // (loader.batch_size * getattr(loader, "world_size", 1))))


def _clips(batch: dict[str, Any]) -> int:
    return len(batch["clip"])


def _versions(batch: dict[str, Any]) -> dict[str, int]:
    """How often each tensor was changed in place, as torch counts it."""
    found = {}
    for name, value in batch.items():
        with suppress(AttributeError, RuntimeError):  # no tensor, or one made in inference mode, which torch does not count for
            found[name] = value._version
    return found


def _line(pace: Pace) -> dict[str, float]:
    return {
        "batches": pace.batches,
        "steps_per_second": pace.batches_per_second,
        "clips_per_second": pace.clips_per_second,
        "wait_share": pace.wait_share,
    }
