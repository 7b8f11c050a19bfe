"""How far a build is: recordings, clips and bytes done, and how much of the source's bytes that was."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dataio.format.clip import slug
from dataio.format.folder import Folder, LocalFolder
from dataio.ingest.spool import Summary

_PAUSE = 0.5  # seconds between two looks at what is under way, and between two signs of life


@dataclass(frozen=True)
class Progress:
    """done, total: recordings. clips, bytes: encoded by this run so far, those of unfinished recordings included. share: of the
    source's bytes that have been read, in [0, 1]. seconds: since the run began. name: of the recording that has just ended, or None
    for a mere sign of life. skipped: why it was left out, if it was.
    """

    done: int
    total: int
    clips: int
    bytes: int
    share: float
    seconds: float
    name: str | None = None
    skipped: str | None = None


class Counter:
    """Adds up what the workers finish, and what they note about the recordings they are at.

    However many recordings there are, an event costs the same. The notes are looked at twice a second at most, and only those of
    the recordings that are under way.

    weights: bytes to be read of each recording.
    """

    def __init__(self, weights: Mapping[str, int], work: Folder, tell: Callable[[Progress], None]) -> None:
        self._weights, self._work, self._tell = weights, work, tell
        self._all = max(1, sum(weights.values()))
        self._open = set(weights)  # names without the finished ones
        self._under_way: dict[str, tuple[int, int, int]] = {}  # what each had noted at the last look
        self._read = self._clips = self._bytes = self._done = 0
        self._start = self._last = self._looked = time.monotonic()

    def before(self, name: str) -> None:
        """An earlier run has done this one."""
        if name not in self._open:  # its spool was damaged, and it was encoded once more
            return
        self._open.remove(name)
        self._done += 1
        self._read += self._weights[name]

    def begun(self, name: str) -> None:
        """It is under way, or will be soon."""
        self._under_way[name] = 0, 1, 0

    def finished(self, name: str, summary: Summary) -> None:
        """This run has."""
        self._under_way.pop(name, None)
        self._clips += len(summary.clips)
        self._bytes += summary.bytes
        self.before(name)
        self._say(name, summary.reason)

    def tick(self) -> None:
        """Look at what is under way, now and then."""
        now = time.monotonic()
        if now - self._looked > _PAUSE:
            self._look()
            self._looked = now
        if now - self._last > _PAUSE:
            self._say(None, None)

    def _say(self, name: str | None, skipped: str | None) -> None:
        self._last = time.monotonic()
        clips, size, read = self._clips, self._bytes, float(self._read)
        for unit, (done, most, written) in self._under_way.items():
            clips, size = clips + done, size + written
            if unit in self._open:
                read += self._weights[unit] * min(1.0, done / max(1, most))
        share = min(1.0, read / self._all)
        self._tell(Progress(self._done, len(self._weights), clips, size, share, self._last - self._start, name, skipped))

    def _look(self) -> None:
        """Read what the workers have noted."""
        if not isinstance(self._work, LocalFolder):
            return
        for name in self._under_way:
            try:
                done, most, size = map(int, self._work.read(f"{slug(name)}.progress").split())
                self._under_way[name] = done, most, size
            except (ValueError, FileNotFoundError):  # none yet, or being written
                continue
