"""The two kinds of task of a build, as they run in a worker: encode a unit into its spool; write a shard from spools."""

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataio.format.clip import slug
from dataio.format.folder import Folder, LocalFolder
from dataio.format.manifest import Shard
from dataio.format.writer import Segment, write_shard
from dataio.ingest import deal, spool
from dataio.ingest.encode import EncodeOptions, encode
from dataio.ingest.errors import SourceError
from dataio.ingest.sources.recording import Recording
from dataio.ingest.spool import Summary

_STORAGE = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.ENOTCONN, errno.EACCES, errno.EPERM}
"""What a broken disk, a lost network share or a forbidden file says. None of it is the recording's fault."""

_GOES_ON = "what is finished stays, and the same command goes on"

_TOLD = 0.5  # seconds between two notes of a worker about its progress


@dataclass(frozen=True)
class Job:
    """What all tasks of a build share. root: of the source. out, work: where shards and spools go."""

    root: Path
    out: Folder
    work: Folder
    options: EncodeOptions


@dataclass(frozen=True)
class ShardTask:
    """One shard to be written: shard `part` of the `count` over which the kept clips of these units are dealt."""

    name: str
    split: str
    units: tuple[tuple[str, tuple[int, ...]], ...]
    part: int
    count: int


def files(recording: Recording) -> list[Path]:
    """Every file that a recording is read from."""
    ears = (ear.path for pair in recording.pairs.values() for ear in pair)
    return list(dict.fromkeys([recording.video, *ears, *([recording.classes] if recording.classes else [])]))


def encode_unit(unit: Recording, split: str, job: Job) -> Summary:
    """Encode into the unit's spool. A broken recording is a result, not an exception.

    Raises:
        OSError: the storage of the source or of the output failed, or the source has disappeared.
    """
    key = slug(unit.name)
    try:
        with spool.writing(job.work, key) as file:
            encoded = encode(unit, job.options, job.root, file, split=split, on_clip=_teller(job.work, key))
            size = file.tell()
    except SourceError as error:
        _blame_storage(error, files(unit))
        summary = Summary(key, unit.name, reason=str(error))
        spool.publish(job.work, summary, ())
        return summary
    dropped = {"silent": len(encoded.silent)} if encoded.silent else {}
    kept = tuple(int(clip.key[-6:]) for clip in encoded.clips)
    summary = Summary(key, unit.name, None, kept, size, encoded.rms, encoded.tail, dropped)
    spool.publish(job.work, summary, encoded.clips)
    return summary


def _blame_storage(error: SourceError, paths: Sequence[Path]) -> None:
    """Raise OSError if a recording could not be read because its disk is gone, rather than because it is broken."""
    for path in paths:
        if not path.exists():
            raise OSError(f"{path} has disappeared during the build; {_GOES_ON}") from error
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _STORAGE:
        raise OSError(f"the storage of the source failed: {error}; {_GOES_ON}") from error


def _teller(work: Folder, key: str) -> Callable[[int, int, int], None]:
    """Leaves `KEY.progress` (clips done, clips expected, bytes) every now and then, for the bar of whoever runs the build."""
    if not isinstance(work, LocalFolder):
        return lambda done, most, size: None
    path, last = work.path / f"{key}.progress", [0.0]

    def tell(done: int, most: int, size: int) -> None:
        if time.monotonic() - last[0] > _TOLD:
            last[0] = time.monotonic()
            path.write_text(f"{done} {most} {size}")

    return tell


def write_dealt_shard(task: ShardTask, job: Job) -> Shard:
    """Deal the clips of the task's units, as every other task of the group does, and write the one shard that is asked for.

    Raises:
        OSError: the disk; or SpoolError, where a spool does not hold what it should.
    """
    clips = [(key, number) for key, numbers in task.units for number in numbers]
    mine = deal.deal(clips, task.count)[task.part]
    return write_shard(job.out, task.name, task.split, _segments(job.work, mine))


def _segments(work: Folder, clips: Sequence[tuple[str, int]]) -> Iterator[Segment]:
    """The clips' bytes, read back from the spools; one clip in memory, and the tables of the units."""
    spools: dict[str, spool.Spool] = {}
    for key, number in clips:
        if key not in spools:
            spools[key] = spool.Spool(work, key)
        yield spools[key].segment(number)
