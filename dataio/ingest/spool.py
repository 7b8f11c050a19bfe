"""What a worker leaves of an encoded unit (a recording, an album of pictures) until its group is dealt over shards.

NAME.spool   the clips, one segment after another, as they will stand in the tars
NAME.npz     where they lie: the table of a shard's index, of the spool
NAME.unit    what the rest of the build needs to know, as JSON; the unit is done when this exists
NAME.progress  how far it is, until then
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import BinaryIO

import numpy as np

from dataio.format import index
from dataio.format.folder import Folder
from dataio.format.table import FormatError
from dataio.format.writer import HEADER, Segment, moved

SUMMARY = "unit"  # not json: a recording may be called `plan` or `group-000000`
KINDS = ("spool", "npz", "progress", SUMMARY)


class SpoolError(OSError):
    """A spool is not what its table says: the machine was cut off before the disk had it all."""


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
    """The summary of a unit that was encoded by an earlier run, or None: there is none, or a power cut spoilt it."""
    try:
        found = json.loads(folder.read(f"{slug}.{SUMMARY}"))
        found |= {"clips": tuple(found["clips"]), "broken": tuple(found["broken"])}
        found["rms"] = {ear: tuple(values) for ear, values in found["rms"].items()}
        summary = Summary(**found)
        whole = summary.reason is not None or folder.size(f"{slug}.spool") == summary.bytes
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return summary if whole else None


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


def remove(folder: Folder, slug: str) -> None:
    """The summary first: without it the rest is nothing."""
    for kind in reversed(KINDS):
        folder.remove(f"{slug}.{kind}")


class Spool:
    """Reads segments back. Holds the table, and no more than one segment."""

    def __init__(self, folder: Folder, slug: str) -> None:
        self._folder, self._slug = folder, slug
        try:
            self._table = index.load(folder.read(f"{slug}.npz"), f"{slug}.npz")
        except FormatError as error:
            raise self._damaged() from error
        self._row = {int(key[-6:]): row for row, key in enumerate(self._table.clips["key"])}
        clip = self._table.members["clip"]
        self._begin = np.searchsorted(clip, np.arange(len(self._table)))
        self._end = np.searchsorted(clip, np.arange(len(self._table)), side="right")

    def segment(self, number: int) -> Segment:
        """Clip `number` of the unit.

        Raises:
            SpoolError: its bytes are not those that were written; the spool has been removed.
        """
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
        data = self._folder.read(f"{self._slug}.spool", begin, last + -last % HEADER)
        clip = moved(clip, -begin)
        view = np.frombuffer(data, np.uint8)
        if any(index.crc32c(view[member.offset :][: member.length]) != member.crc for member in clip.members):
            raise self._damaged()
        return Segment(clip, (data,), len(data))

    def _damaged(self) -> SpoolError:
        remove(self._folder, self._slug)
        return SpoolError(f"the unfinished {self._slug}.spool was damaged and has been removed; the same command goes on")
