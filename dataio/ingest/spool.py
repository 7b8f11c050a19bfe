"""What a worker leaves of an encoded unit (a recording, an album of pictures) until its group is dealt over shards.

NAME.spool   the clips, one segment after another, as they will stand in the tars
NAME.npz     where they lie: the table of a shard's index, of the spool
NAME.unit    what the rest of the build needs to know, as JSON; the unit is done when this exists
NAME.progress  how far it is, until then
NAME.died    how many worker processes have died at it
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import BinaryIO

import numpy as np

from dataio.format import index
from dataio.format.folder import Folder
from dataio.format.table import FormatError
from dataio.format.writer import HEADER, Segment, moved

SUMMARY = "unit"  # not json: a recording may be called `plan` or `group-000000`
DEATHS = "died"
KINDS = ("spool", "npz", "progress", DEATHS, SUMMARY)


class SpoolError(OSError):
    """Spools are not what their tables say, or not there: the machine was cut off before the disk had it all.

    slugs: of the units, which must be encoded again.
    """

    def __init__(self, slugs: Sequence[str]) -> None:
        super().__init__(slugs)  # as one: an OSError makes file names of more
        self.slugs = tuple(slugs)

    def __str__(self) -> str:
        more = f" (and {len(self.slugs) - 1} more)" if len(self.slugs) > 1 else ""
        return f"the unfinished {self.slugs[0]}.spool{more} is damaged; the same command goes on"


@dataclass(frozen=True)
class Summary:
    """A unit that was encoded, or refused.

    slug: its key. name: as the user knows it. reason: why it was refused, or None. clips: numbers of the clips that were kept.
    bytes: of the spool. rms: ear → RMS of each kept clip. tail: seconds dropped at the end. silent: clips left out as such.
    broken: why each picture was left out that could not be read.
    """

    slug: str
    name: str
    reason: str | None = None
    clips: tuple[int, ...] = ()
    bytes: int = 0
    rms: dict[str, tuple[float, ...]] = field(default_factory=dict)
    tail: float = 0.0
    silent: int = 0
    broken: tuple[str, ...] = ()


def load(folder: Folder, slug: str) -> Summary | None:
    """The summary of a unit that an earlier run encoded, or None: there is none, or a power cut spoilt it, table or spool."""
    try:
        found = json.loads(folder.read(f"{slug}.{SUMMARY}"))
        found |= {"clips": tuple(found["clips"]), "broken": tuple(found["broken"])}
        found["rms"] = {ear: tuple(values) for ear, values in found["rms"].items()}
        summary = Summary(**found)
        if summary.reason is not None:
            return summary
        table = index.load(folder.read(f"{slug}.npz"), f"{slug}.npz")
        whole = table.tar_bytes == summary.bytes == folder.size(f"{slug}.spool") and _numbers(table) == list(summary.clips)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return summary if whole else None


def _numbers(table: index.ShardIndex) -> list[int]:
    """Numbers of the clips, in the order of the rows."""
    return [int(key[-6:]) for key in table.clips["key"]]


@contextmanager
def writing(folder: Folder, slug: str) -> Iterator[BinaryIO]:
    """The spool to write to. It need not survive a power cut: what is read back is held against its checksums."""
    with folder.writing(f"{slug}.spool", durable=False) as file:
        yield file


def publish(folder: Folder, summary: Summary, clips: Sequence[index.Clip]) -> None:
    """Leave the table, then the summary."""
    if summary.reason is None:
        folder.write(f"{summary.slug}.npz", index.build(summary.slug, summary.bytes, clips).dump(), durable=False)
    folder.write(f"{summary.slug}.{SUMMARY}", json.dumps(asdict(summary), sort_keys=True).encode(), durable=False)


def remove(folder: Folder, slugs: Iterable[str]) -> None:
    """Leave nothing of these units. The summaries first: without them the rest is nothing."""
    slugs = list(slugs)
    folder.remove_many([f"{slug}.{kind}" for kind in reversed(KINDS) for slug in slugs])


def deaths(folder: Folder, slug: str) -> int:
    """How many worker processes have died at a unit."""
    try:
        return int(folder.read(f"{slug}.{DEATHS}"))
    except (FileNotFoundError, ValueError):  # none, or a mark that a power cut has spoilt
        return 0


def blame(folder: Folder, slug: str) -> None:
    """One more worker has died at this unit."""
    folder.write(f"{slug}.{DEATHS}", str(deaths(folder, slug) + 1).encode())


class Spool:
    """Reads segments back. Holds the table, and no more than one segment.

    Raises:
        SpoolError: there is no table, or it is damaged.
    """

    def __init__(self, folder: Folder, slug: str) -> None:
        self._folder, self._slug = folder, slug
        try:
            self._table = index.load(folder.read(f"{slug}.npz"), f"{slug}.npz")
        except (FileNotFoundError, FormatError) as error:
            raise SpoolError([slug]) from error
        self._row = {number: row for row, number in enumerate(_numbers(self._table))}
        clip = self._table.members["clip"]
        self._begin = np.searchsorted(clip, np.arange(len(self._table)))
        self._end = np.searchsorted(clip, np.arange(len(self._table)), side="right")

    def segment(self, number: int) -> Segment:
        """Clip `number` of the unit.

        Raises:
            SpoolError: its bytes are not those that were written, or not there.
        """
        if number not in self._row:
            raise SpoolError([self._slug])
        row = self._row[number]
        table, m = self._table, self._table.members
        members = []
        for i in range(self._begin[row], self._end[row]):
            first = int(m["block"][i])
            length = int(m["length"][i])
            blocks = table.block_crc[first : first + -(-length // index.BLOCK)].tolist() if first >= 0 else []
            names = ("height", "width", "rate", "channels", "samples", "data", "frames")
            facts = index.Facts(*(int(m[name][i]) for name in names))
            place = (table.extensions[m["extension"][i]], int(m["offset"][i]), length, int(m["crc"][i]))
            members.append(index.Member(*place, facts, tuple(blocks)))
        clip = index.Clip(table.clips["key"][row].decode(), self._slug, float(table.clips["start"][row]), tuple(members))
        begin = members[0].offset - HEADER
        last = members[-1].offset + members[-1].length
        try:
            data = self._folder.read(f"{self._slug}.spool", begin, last + -last % HEADER)
        except FileNotFoundError as error:
            raise SpoolError([self._slug]) from error
        clip = moved(clip, -begin)
        view = np.frombuffer(data, np.uint8)
        if any(index.crc32c(view[member.offset :][: member.length]) != member.crc for member in clip.members):
            raise SpoolError([self._slug])
        return Segment(clip, (data,), len(data))
