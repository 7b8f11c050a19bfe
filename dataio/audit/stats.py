"""The level of a set: mean RMS per pair and ear, recomputed and held against the manifest's.

The mean is the arithmetic mean of the clips' RMS.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

from dataio.audit.facts import dbfs, in_order, rounded
from dataio.audit.levels import Levels, Origin, shard_levels
from dataio.audit.untouchable import refuse_unfinished
from dataio.format import manifest
from dataio.format.atomic import write_file
from dataio.format.clip import PAIRS
from dataio.ingest.executors import Executor

_TOLERANCE = 1e-12  # relative; the same numbers added in another way differ by less, one clip more or less by more


def stats(
    folder: Path,
    executor: Executor,
    *,
    origin: Origin = "json",
    write: bool = False,
    on_shard: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Recompute the mean RMS of every ear over a set, and hold it against the manifest's.

    Args:
        origin: `json` adds up what the clips' json members say; `pcm` computes every clip's RMS from its sound.
        write: replace the manifest's levels where they differ. Levels are part of the fingerprint, so that changes too, and states
            of loaders saved before no longer fit. `build.json` stays: it tells what the build found.
        on_shard: told (shards done, shards in all).

    Returns:
        JSON: `from`, `clips`, `ears` (each with `mean_rms`, `mean_rms_dbfs`, `clips`, `manifest`, `difference`), `agrees`,
        `unread`, `problems`, `written`, `fingerprint`, `fingerprint_before`.

    Raises:
        FileNotFoundError: there is no finished set. FormatError: its manifest is damaged.
        ValueError: another origin; or `write` into an unfinished build, while clips could not be read, or with an ear of the
            manifest found nowhere: nothing is written then.
    """
    if origin not in get_args(Origin):
        raise ValueError(f"statistics from {origin!r}: allowed are {', '.join(get_args(Origin))}")
    if write:
        refuse_unfinished(folder)
    found = manifest.load(folder)
    result = Levels()
    work = partial(shard_levels, folder=folder, origin=origin)
    for done, levels in enumerate(executor.map(work, (found.name(shard) for shard in range(len(found)))), 1):
        result.merge(levels)
        on_shard(done, len(found))
    mean = result.mean()
    report = _compare(mean, result, found) | {"from": origin, "clips": found.clips, "written": False}
    report |= {"fingerprint": found.fingerprint, "fingerprint_before": found.fingerprint}
    if write and result.unread:
        raise ValueError(f"{result.unread} members of {folder} could not be read, nothing was written; first: {result.problems[0]}")
    if write and (lost := [ear for ear in found.mean_rms if ear not in mean]):
        raise ValueError(f"no clip in {folder} tells a level of {lost[0]}, which its manifest has, so nothing was written")
    if write and mean != found.mean_rms:
        new = with_levels(found, mean)
        write_file(folder / manifest.FILE, new.dump())
        report |= {"written": True, "fingerprint": new.fingerprint}
    return report


def _compare(mean: dict[str, float], levels: Levels, found: manifest.Manifest) -> dict[str, Any]:
    ears = {}
    agrees = not levels.unread
    for ear in in_order(mean | found.mean_rms):
        new, old = mean.get(ear), found.mean_rms.get(ear)
        ears[ear] = {
            "mean_rms": new,
            "mean_rms_dbfs": None if new is None else rounded(dbfs(new)),
            "clips": levels.clips.get(ear, 0),
            "manifest": old,
            "difference": None if new is None or old is None else new - old,
        }
        agrees &= new is not None and old is not None and abs(new - old) <= _TOLERANCE * max(new, old)
    return {"ears": ears, "agrees": agrees, "unread": levels.unread, "problems": levels.problems}


def with_levels(found: manifest.Manifest, mean_rms: dict[str, float]) -> manifest.Manifest:
    """The same set with other levels, and so with another fingerprint."""
    s = found.shards
    rows = []
    for i in range(len(found)):
        bits = int(s["pairs"][i])
        rows.append(
            manifest.Shard(
                name=found.name(i),
                split=found.splits[s["split"][i]],
                recordings=tuple(found.recordings[r].decode() for r in found.shard_recordings(i)),
                pairs=tuple(pair for bit, pair in enumerate(PAIRS) if bits >> bit & 1),
                **{column: int(s[column][i]) for column in ("clips", "bytes", "crc", "index_crc", "idx_crc")},
            )
        )
    new = manifest.build(rows, found.media, mean_rms, found.options)
    return replace(found, mean_rms=new.mean_rms, fingerprint=new.fingerprint)
