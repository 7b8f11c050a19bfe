"""What happens when clips are corrupt: each is written down once, and too many of them stop the run.

Whether a clip is healthy is decided by its bytes and by who decodes them, never by what happened before. So the clips that are
delivered are the same in every run and for every world size, and the quarantine file is a report, not a memory. (Decoders agree on
what is cut off; of damage inside a picture that its checksum covers, libjpeg-turbo refuses what DALI and torchvision let pass.)
"""

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from dataio.stream.errors import CorruptClipError


class TooManyCorruptError(RuntimeError):
    """More clips are corrupt than allowed; the message names the quarantine file."""


@dataclass(frozen=True)
class Health:
    """How much damage a run bears.

    quarantine: file that gets one line of JSON for each corrupt clip (set, shard, offset, key, extension, reason), shared by all
        ranks; made when there is something to write. None: none.
    rate: largest share of corrupt clips among those tried, judged once `after` clips were tried.
    in_a_row: most replacements, one after another, for one place of the order.
    """

    quarantine: Path | None = Path("quarantine.jsonl")
    rate: float = 0.1
    after: int = 256
    in_a_row: int = 64

    def __post_init__(self) -> None:
        if self.quarantine is not None:  # text from a recipe is as good as a path
            object.__setattr__(self, "quarantine", Path(self.quarantine))
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate={self.rate} must be from 0 (none is allowed) to 1")
        if self.after < 0 or self.in_a_row < 1:
            raise ValueError(f"after={self.after} must be at least 0, in_a_row={self.in_a_row} at least 1")


@dataclass
class Ward:
    """Counts corrupt clips and writes them down. Safe to use from several threads, the file from several processes.

    tried: reads of clips. corrupt: those that failed. names: of the sets, for the file.
    """

    health: Health
    names: tuple[str, ...] = ("",)
    tried: int = 0
    corrupt: int = 0
    notes: list[str] = field(default_factory=list)
    _known: set[tuple[str, str, str]] = field(default_factory=set)
    _list: "_List" = field(default_factory=lambda: _List(), repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def well(self) -> None:
        """A clip was read and decoded."""
        with self._lock:
            self.tried += 1

    def ill(self, error: CorruptClipError, source: int, in_a_row: int) -> None:
        """A clip was not. in_a_row: clips that failed for the same place, this one included.

        Raises:
            TooManyCorruptError: the budget is used up.
        """
        with self._lock:
            self.tried, self.corrupt = self.tried + 1, self.corrupt + 1
            name = self.names[source]
            if (member := (name, error.shard, error.key)) not in self._known:
                self._known.add(member)
                self._write(name, error)
            tried, corrupt, h = self.tried, self.corrupt, self.health
        where = f"; {h.quarantine} lists them" if h.quarantine and not self.notes else ""
        if in_a_row >= h.in_a_row:
            raise TooManyCorruptError(f"{in_a_row} clips in a row are corrupt, the last one {error}{where}") from error
        if tried >= max(h.after, 1) and corrupt > h.rate * tried:
            raise TooManyCorruptError(
                f"{corrupt} of {tried} clips are corrupt, more than the {h.rate:.0%} allowed, the last one {error}{where}"
            ) from error

    def _write(self, name: str, error: CorruptClipError) -> None:
        path = self.health.quarantine
        if not self._known or len(self._known) == 1:
            print(f"sonosphere: {error}: replaced by the next healthy clip{f', see {path}' if path else ''}", file=sys.stderr)
        if path is None:
            return
        entry: dict[str, object] = {"set": name} if name else {}
        line = entry | {"shard": error.shard, "offset": error.offset, "key": error.key}
        line |= {"extension": error.extension, "reason": error.reason}
        try:
            self._list.add(path, line)
        except OSError as fault:
            note = f"{path} cannot be written ({fault.strerror or fault}): corrupt clips are counted, but not listed"
            if note not in self.notes:
                self.notes.append(note)
                print(f"sonosphere: {note}", file=sys.stderr)

    def report(self) -> dict[str, object]:
        """`tried`, `corrupt` (replaced, as often as they came up), `clips` (how many different ones), `quarantine`."""
        with self._lock:
            place = str(self.health.quarantine) if self.health.quarantine and self._known else None
            return {
                "tried": self.tried,
                "corrupt": self.corrupt,
                "clips": len(self._known),
                "quarantine": place,
                "notes": list(self.notes),
            }


class _List:
    """The quarantine file, which other processes add to as well. Only what is new in it since the last look is read."""

    def __init__(self) -> None:
        self._clips: set[tuple[object, ...]] = set()
        self._end = 0

    def add(self, path: Path, entry: dict[str, object]) -> None:
        """Add a line, unless the clip is listed already, be it for another of its members."""
        import fcntl  # not on every system, and only needed when something is broken

        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            if size < self._end:  # somebody has emptied it
                self._clips, self._end = set(), 0
            file.seek(self._end)
            *lines, rest = file.read().split(b"\n")
            self._end = size - len(rest)
            for line in lines:
                with suppress(ValueError, AttributeError):  # a process that was killed may have left half a line
                    self._clips.add(_clip(json.loads(line)))
            if _clip(entry) not in self._clips:
                file.write((b"\n" if rest else b"") + json.dumps(entry, ensure_ascii=False).encode() + b"\n")


def _clip(entry: dict[str, object]) -> tuple[object, ...]:
    return entry.get("set"), entry.get("shard"), entry.get("key")
