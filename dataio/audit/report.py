"""What an audit finds: problems, each with the place where it lies."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. file: name inside the set. member: of a tar, if it is about one. offset: byte of the file, or −1."""

    file: str
    what: str
    member: str = ""
    offset: int = -1

    def __str__(self) -> str:
        place = self.file + (f", {self.member}" if self.member else "") + (f", byte {self.offset}" if self.offset >= 0 else "")
        return printable(f"{place}: {self.what}")


def printable(text: str) -> str:
    """One line that a terminal shows as it is: names of others may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass
class Audit:
    """The result for a part of a set, or for all of it.

    notes: what is not wrong, but should be known. unchecked: shards whose index holds no checksums, so that there was nothing to
    hold their bytes against. levels: ear → how many clips gave an RMS, and its sum; of a deep check.
    """

    shards: int = 0
    clips: int = 0
    members: int = 0
    bytes: int = 0
    unchecked: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    levels: dict[str, tuple[int, float]] = field(default_factory=dict)

    def count_level(self, ear: str, rms: float) -> None:
        """Count the RMS of one clip in."""
        count, total = self.levels.get(ear, (0, 0.0))
        self.levels[ear] = count + 1, total + rms

    def add(self, other: "Audit") -> None:
        """Count another part in."""
        self.shards += other.shards
        self.clips += other.clips
        self.members += other.members
        self.bytes += other.bytes
        self.unchecked += other.unchecked
        self.problems += other.problems
        self.notes += other.notes
        for ear, (more, rms) in other.levels.items():
            count, total = self.levels.get(ear, (0, 0.0))
            self.levels[ear] = count + more, total + rms

    def as_dict(self) -> dict[str, Any]:
        """As JSON; `ok` says whether everything is right."""
        return {
            "ok": not self.problems,
            "shards": self.shards,
            "clips": self.clips,
            "members": self.members,
            "bytes": self.bytes,
            "without_checksums": self.unchecked,
            "problems": [asdict(problem) for problem in self.problems],
            "notes": [asdict(note) for note in self.notes],
        }


def first_lines(problems: Iterable[Problem], most: int = 20) -> str:
    """The first problems, a line each, and how many more there are."""
    lines = [str(problem) for problem in problems]
    more = len(lines) - most
    return "\n".join(lines[:most] + ([f"… and {more} more"] if more > 0 else []))
