"""How far a build is: recordings, clips and bytes done, and how much of the source's bytes that was."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dataio.format.clip import slug
from dataio.format.folder import Folder, LocalFolder
from dataio.ingest.spool import Summary


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

    weights: bytes to be read of each recording.
    """

    def __init__(self, weights: Mapping[str, int], work: Folder, tell: Callable[[Progress], None]) -> None:
        self._weights, self._work, self._tell = weights, work, tell
        self._open = dict.fromkeys(weights)  # names, in order, without the finished ones
        self._read = self._clips = self._bytes = self._done = 0
        self._start = self._last = time.monotonic()

    def before(self, name: str) -> None:
        """An earlier run has done this one."""
        self._open.pop(name, None)
        self._done += 1
        self._read += self._weights[name]

    def finished(self, name: str, summary: Summary) -> None:
        """This run has."""
        self._clips += len(summary.clips)
        self._bytes += summary.bytes
        self.before(name)
        self._say(name, summary.reason)

    def tick(self) -> None:
        """Look at what is under way, now and then."""
        if time.monotonic() - self._last > 0.5:
            self._say(None, None)

    def _say(self, name: str | None, skipped: str | None) -> None:
        self._last = time.monotonic()
        clips, size, read = self._clips, self._bytes, float(self._read)
        for unit, (done, most, written) in self._under_way().items():
            clips, size = clips + done, size + written
            read += self._weights[unit] * done / max(1, most)
        share = read / max(1, sum(self._weights.values()))
        self._tell(Progress(self._done, len(self._weights), clips, size, min(1.0, share), self._last - self._start, name, skipped))

    def _under_way(self) -> dict[str, tuple[int, int, int]]:
        if not isinstance(self._work, LocalFolder):
            return {}
        noted = {name.removesuffix(".progress") for name in self._work.names() if name.endswith(".progress")}
        found = {}
        for unit in self._open if noted else ():
            if slug(unit) in noted:
                try:
                    done, most, size = map(int, self._work.read(f"{slug(unit)}.progress").split())
                    found[unit] = done, most, size
                except (ValueError, FileNotFoundError):  # being written, or just removed
                    continue
        return found
