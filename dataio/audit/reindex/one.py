"""One tar: what a worker does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataio.audit.reindex import publish
from dataio.audit.reindex.common import NOTHING, Seen, seen
from dataio.audit.reindex.texts import facts, number
from dataio.audit.report import Problem
from dataio.format import index, manifest, tar
from dataio.format.writer import shard_pairs

_CELLS = 2**26  # of the table (clips, extensions) that a reader makes; it would need a quarter of a gibibyte
_KEY_BYTES = 2**30  # of the column of keys, which is as wide as the longest


@dataclass(frozen=True)
class Indexed:
    """What became of one tar: its row of the manifest, or why it was refused.

    fresh: its indexes, written and not published. says: what its clips say of themselves. skipped, others: see `tar.Walk`.
    """

    name: str
    shard: manifest.Shard | None
    problem: Problem | None
    fresh: tuple[publish.Fresh, ...] = ()
    says: Seen = NOTHING
    members: int = 0
    skipped: int = 0
    others: int = 0


@dataclass(frozen=True)
class Work:
    """One tar to do. split: of clips whose json names none. expected: (bytes, crc) by the manifest there is; crc 0: unknown."""

    name: str
    split: str
    expected: tuple[int, int] | None


def index_tar(work: Work, *, folder: Path, checksums: bool, run: int) -> Indexed:
    """Walk one tar and write its two indexes, under temporary names; a broken tar is a result, not an exception.

    Raises:
        OSError: an index cannot be written.
    """
    file = f"{work.name}.tar"
    try:
        file.encode()
        if f"{work.name}.npz" == manifest.FILE:
            return Indexed(work.name, None, Problem(file, f"its index would be called {manifest.FILE}: rename it"))
        walk = tar.walk(folder / file, checksums=checksums)
    except tar.TarError as error:
        return Indexed(work.name, None, Problem(file, error.what, offset=error.offset))
    except UnicodeEncodeError:
        return Indexed(
            work.name, None, Problem(file.encode(errors="backslashreplace").decode(), "its name is not UTF-8: rename it")
        )
    except OSError as error:
        return Indexed(work.name, None, Problem(file, f"cannot be read: {error.strerror}"))
    told, said = facts(walk, folder / file)
    splits = {str(fact["split"]) for fact in said if isinstance(fact.get("split"), str)} or {work.split}
    what = _unfit(walk, splits, work.expected)
    if what:
        return Indexed(work.name, None, Problem(file, what))
    starts = np.zeros(len(walk.clips))
    starts[told] = [number(fact.get("start")) or 0.0 for fact in said]
    entry = shard_index(work.name, walk, starts, checksums=checksums)
    ours, dalis = entry.dump(), walk.dali_idx()
    fresh = publish.write(folder, f"{work.name}.npz", ours, run) + publish.write(folder, f"{work.name}.idx", dalis, run)
    shard = manifest.Shard(
        name=work.name,
        clips=len(entry),
        bytes=walk.size,
        crc=walk.crc,
        index_crc=index.crc32c(np.frombuffer(ours, np.uint8)),
        idx_crc=index.crc32c(np.frombuffer(dalis, np.uint8)),
        split=splits.pop(),
        recordings=entry.recordings,
        pairs=shard_pairs(entry),
    )
    return Indexed(work.name, shard, None, fresh, seen(entry, said), len(walk.rows), walk.skipped, walk.others)


def _unfit(walk: tar.Walk, splits: set[str], expected: tuple[int, int] | None) -> str | None:
    """Why a tar that was read without a fault cannot be part of the set; None if it can."""
    if not len(walk.clips):
        return "holds no sample: no file in it has a name and an extension"
    if len(splits) > 1:
        return f"holds clips of the splits {', '.join(sorted(splits))}; a shard has one"
    if len(walk.clips) * len(walk.extensions) > max(_CELLS, 16 * len(walk.rows)):
        what = f"has {len(walk.extensions)} extensions over {len(walk.clips)} samples"
        return f"{what}: what differs between samples belongs before the first dot"
    width = int(walk.clips[:, tar.KEY_LENGTH].max())
    if len(walk.clips) * width > _KEY_BYTES:
        return f"has {len(walk.clips)} samples, one of them with a key of {width} bytes, which makes the index too large"
    if expected and (walk.size, walk.crc or expected[1]) != (expected[0], expected[1] or walk.crc):
        return f"is not the one that {manifest.FILE} names: its length or checksum differs"
    return None


def shard_index(name: str, walk: tar.Walk, starts: np.ndarray, *, checksums: bool) -> index.ShardIndex:
    """The index of a tar that was walked. name: without `.tar`. starts: (clips,) float64, seconds of their recordings."""
    order = sorted(range(len(walk.extensions)), key=lambda i: walk.extensions[i])
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    recordings, origin = _recordings(name, walk)
    columns = (walk.rows[:, tar.CLIP], place[walk.rows[:, tar.EXTENSION]], *walk.rows[:, tar.OFFSET : tar.LENGTH + 1].T)
    columns += (walk.rows[:, tar.CRC], *walk.rows[:, tar.FACTS : tar.FIRST_BLOCK + 1].T)
    types = index.MEMBER_TYPES.items()
    members = {column: np.ascontiguousarray(c, dtype) for (column, dtype), c in zip(types, columns, strict=True)}
    clips = {"key": walk.clip_keys(), "recording": origin, "start": starts}
    extensions = tuple(walk.extensions[i] for i in order)
    return index.from_columns(name, walk.size, recordings, extensions, checksums, clips, members, walk.block_crc)


def _recordings(name: str, walk: tar.Walk) -> tuple[tuple[str, ...], np.ndarray]:
    """Slugs in order of first appearance, and each clip's number; clips without a slug are one recording, named after the tar."""
    origin = walk.clips[:, tar.RECORDING]
    if origin.min(initial=0) >= 0:
        return walk.recordings, origin.astype(np.int32)
    if not walk.recordings:
        return (name,), np.zeros(len(origin), np.int32)
    slugs = [walk.recordings[i] if i >= 0 else name for i in origin.tolist()]
    place = {slug: i for i, slug in enumerate(dict.fromkeys(slugs))}
    return tuple(place), np.array([place[slug] for slug in slugs], np.int32)
