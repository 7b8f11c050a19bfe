"""Is a shard set right? Tars, DALI's indexes, ours and the manifest are read whole and held against each other."""

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from dataio.audit.report import Audit, Problem
from dataio.audit.shard import verify_shard
from dataio.format import manifest
from dataio.format.clip import PAIRS
from dataio.format.table import FormatError
from dataio.ingest.executors import Executor
from dataio.ingest.workspace import OF_THE_SYSTEM, WORK

REPORT = "build.json"
_KINDS = ("tar", "idx", "npz")
_RMS = 1e-9  # by which the mean of the clips' RMS may differ from the manifest's, of its value


def verify(
    folder: Path, executor: Executor, *, deep: bool = False, on_shard: Callable[[int, int], None] = lambda done, total: None
) -> Audit:
    """Check a whole set; shards in parallel.

    Args:
        deep: also decode every member.
        on_shard: told (shards done, shards in all).

    Raises:
        FileNotFoundError: there is no finished set.
    """
    result = Audit()
    try:
        found = manifest.load(folder)
        rows = list(shards_of(found))
        problems = list(_whole_set(folder, found, rows))
    except FormatError as error:
        result.problems.append(Problem(manifest.FILE, str(error)))
        return result
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:  # well-formed, and nonsense
        result.problems.append(Problem(manifest.FILE, f"holds values that are none of a manifest: {error}"))
        return result
    result.problems += problems
    if (folder / WORK).is_dir():
        result.notes.append(Problem(WORK, "left by a build that was killed at its end: run the same build once more"))
    check = partial(verify_shard, folder=folder, media=found.media, deep=deep)
    rows = [row for row in rows if _is_file_name(row.name)]  # the others have been told of; nothing outside of the folder is read
    for done, part in enumerate(executor.map(check, rows), 1):
        result.add(part)
        on_shard(done, len(rows))
    if deep:
        result.problems += _levels(result, found)
    return result


def shards_of(found: manifest.Manifest) -> Iterator[manifest.Shard]:
    """What the manifest says of each shard; small, because it is sent to workers."""
    s = found.shards
    for i in range(len(found)):
        yield manifest.Shard(
            name=found.name(i),
            clips=int(s["clips"][i]),
            bytes=int(s["bytes"][i]),
            crc=int(s["crc"][i]),
            index_crc=int(s["index_crc"][i]),
            idx_crc=int(s["idx_crc"][i]),
            split=found.splits[s["split"][i]],
            recordings=tuple(found.recordings[r].decode() for r in found.shard_recordings(i)),
            pairs=tuple(pair for bit, pair in enumerate(PAIRS) if int(s["pairs"][i]) >> bit & 1),
        )


def _whole_set(folder: Path, found: manifest.Manifest, rows: list[manifest.Shard]) -> Iterator[Problem]:
    """What no single shard shows: the manifest's own bytes and fingerprint, names given twice, a recording in two splits, strays.

    The manifest is vouched for by no other file. Its content is held against its fingerprint and against the checksums inside the
    .npz, and its bytes against those that its content would be written as, so that nothing in it can change unnoticed.
    """
    data = (folder / manifest.FILE).read_bytes()
    if found.dump() != data:
        yield Problem(manifest.FILE, "its bytes are not those that its content would be written as")
    again = manifest.build(rows, found.media, found.mean_rms, found.options)
    if again.fingerprint != found.fingerprint:
        yield Problem(manifest.FILE, "its fingerprint is not that of its content")
    elif again.dump() != data:
        yield Problem(manifest.FILE, "its splits or recordings are not those of its shards")
    names = {row.name for row in rows}
    if len(names) < len(rows):
        yield Problem(manifest.FILE, "names a shard twice")
    for name in sorted(names):
        if not _is_file_name(name):
            yield Problem(manifest.FILE, f"names a shard {name!r}, which is no file name")
    split_of: dict[str, str] = {}
    foreign = "indexed" in found.options  # tars of others: what else lies there is theirs, and their keys name no recordings
    for row in rows:
        for recording in row.recordings:
            if split_of.setdefault(recording, row.split) != row.split and not foreign:
                yield Problem(manifest.FILE, f"recording {recording} is in two splits")
    for path in sorted(folder.iterdir()):
        stem, _, kind = path.name.rpartition(".")
        if OF_THE_SYSTEM.fullmatch(path.name) or (path.name == WORK and path.is_dir()):
            continue
        ours = path.name in (manifest.FILE, REPORT) or (kind in _KINDS and stem in names)
        if not ours and (not foreign or kind in (*_KINDS, "tmp")):
            yield Problem(path.name, "is not part of the set")
    yield from _report(folder / REPORT)


def _is_file_name(name: str) -> bool:
    return bool(name) and "/" not in name and "\0" not in name


def _report(path: Path) -> Iterator[Problem]:
    try:
        if path.exists():
            json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        yield Problem(path.name, f"is no report of a build: {error}")


def _levels(result: Audit, found: manifest.Manifest) -> Iterator[Problem]:
    """Whether the manifest's mean RMS are those of the clips, as far as all clips could be read."""
    for ear in sorted(found.mean_rms.keys() | result.levels.keys()):
        count, total = result.levels.get(ear, (0, 0.0))
        said, mean = found.mean_rms.get(ear), total / count if count else None
        if said is None or mean is None or not math.isclose(said, mean, rel_tol=_RMS, abs_tol=1e-15):
            yield Problem(manifest.FILE, f"the mean RMS of {ear} is {mean}, it says {said}")
