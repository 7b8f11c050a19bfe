"""The two kinds of task of a build, as they run in a worker: encode a unit into its spool; write a shard from spools."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dataio.format.clip import slug, split_key
from dataio.format.folder import Folder, LocalFolder
from dataio.format.index import Clip
from dataio.format.manifest import Shard
from dataio.format.writer import Segment, write_shard
from dataio.ingest import deal, spool
from dataio.ingest.encode import EncodeOptions, encode
from dataio.ingest.encode.album import encode_album
from dataio.ingest.errors import SourceError, blame_storage
from dataio.ingest.sources import Album, Recording
from dataio.ingest.spool import SpoolError, Summary

Unit = Recording | Album

_TOLD = 0.5  # seconds between two notes of a worker about its progress


@dataclass(frozen=True)
class Job:
    """What all tasks of a build share. root: of the source. out, work: where shards and spools go. tick: to be called now and then,
    if the tasks run in the process that shows the progress.
    """

    root: Path
    out: Folder
    work: Folder
    options: EncodeOptions
    tick: Callable[[], None] | None = None


@dataclass(frozen=True)
class ShardTask:
    """One shard to be written: shard `part` of the `count` over which the kept clips of these units are dealt."""

    name: str
    split: str
    units: tuple[tuple[str, tuple[int, ...]], ...]
    part: int
    count: int


def files(unit: Unit) -> list[Path]:
    """Every file that a unit is read from."""
    if isinstance(unit, Album):
        return list(dict.fromkeys(picture.path for picture in unit.pictures))
    ears = (ear.path for pair in unit.pairs.values() for ear in pair)
    return list(dict.fromkeys([unit.video, *ears, *([unit.classes] if unit.classes else [])]))


def encode_unit(unit: Unit, split: str, job: Job) -> Summary:
    """Encode into the unit's spool. A broken recording, or an album without a readable picture, is a result, not an exception.

    Raises:
        OSError: the storage of the source or of the output failed, or the source has disappeared.
    """
    key = slug(unit.name)
    try:
        with spool.writing(job.work, key) as file:
            summary, clips = _encode(unit, key, split, job, file)
    except SourceError as error:
        # pictures are read plainly: what the disk said about them is known
        blame_storage(error, files(unit), read=isinstance(unit, Recording))
        summary, clips = Summary(key, unit.name, reason=str(error)), ()
        spool.remove(job.work, [key])
    spool.publish(job.work, summary, clips)
    return summary


def _encode(unit: Unit, key: str, split: str, job: Job, file: BinaryIO) -> tuple[Summary, tuple[Clip, ...]]:
    tell = _teller(job, key)
    if isinstance(unit, Album):
        album = encode_album(unit, job.options, file, on_clip=tell)
        summary = Summary(key, unit.name, bytes=file.tell(), clips=_numbers(album.clips), broken=album.broken)
        return summary, album.clips
    encoded = encode(unit, job.options, job.root, file, split=split, on_clip=tell)
    kept: dict[str, Any] = {"clips": _numbers(encoded.clips), "silent": len(encoded.silent)}
    return Summary(key, unit.name, bytes=file.tell(), rms=encoded.rms, tail=encoded.tail, **kept), encoded.clips


def _numbers(clips: Sequence[Clip]) -> tuple[int, ...]:
    return tuple(split_key(clip.key)[1] for clip in clips)


def _teller(job: Job, key: str) -> Callable[[int, int, int], None]:
    """Leaves `KEY.progress` (clips done, clips expected, bytes) every now and then, for the bar of whoever runs the build."""
    if not isinstance(job.work, LocalFolder):
        return lambda done, most, size: None
    path, last = job.work.path / f"{key}.progress", [0.0]

    def tell(done: int, most: int, size: int) -> None:
        if time.monotonic() - last[0] > _TOLD:
            last[0] = time.monotonic()
            path.write_text(f"{done} {most} {size}")
            if job.tick:
                job.tick()

    return tell


def write_dealt_shard(task: ShardTask, job: Job) -> Shard:
    """Deal the clips of the task's units, as every other task of the group does, and write the one shard that is asked for.

    Raises:
        OSError: the disk; or SpoolError, which names every spool that does not hold what this shard needs of it.
    """
    clips = [(key, number) for key, numbers in task.units for number in numbers]
    mine = deal.deal(clips, task.count)[task.part]
    try:
        return write_shard(job.out, task.name, task.split, _segments(job.work, mine))
    except SpoolError as error:
        raise SpoolError(_damaged(job.work, mine, error)) from error


def _segments(work: Folder, clips: Sequence[tuple[str, int]]) -> Iterator[Segment]:
    """The clips' bytes, read back from the spools; one clip in memory, and the tables of the units."""
    spools: dict[str, spool.Spool] = {}
    for key, number in clips:
        if key not in spools:
            spools[key] = spool.Spool(work, key)
        yield spools[key].segment(number)


def _damaged(work: Folder, clips: Sequence[tuple[str, int]], first: SpoolError) -> list[str]:
    """All units of which a clip cannot be read back: they are made again together, and not one after the other."""
    found = dict.fromkeys(first.slugs)
    for clip in clips:
        try:
            for _ in _segments(work, [clip]) if clip[0] not in found else ():
                pass
        except SpoolError:
            found[clip[0]] = None
    return list(found)
