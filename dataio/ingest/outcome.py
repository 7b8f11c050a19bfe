"""What a build leaves: the rows of each group, and of all of them the manifest and the report."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dataio.format import manifest
from dataio.format.clip import EARS, PAIRS
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.material import Material
from dataio.ingest.schedule import Finished
from dataio.ingest.sources import Album, Recording
from dataio.ingest.work import Unit

LEFT_OUT: dict[str, Any] = {"skipped": {}, "silent": {}, "broken": [], "tail_seconds": {}, "mono": [], "resumed": False}
"""The rest of a report, where there is nothing to tell."""


def group_rows(done: Finished) -> dict[str, Any]:
    """What a finished group leaves for the manifest and the report, as JSON."""
    kept = [summary for summary in done.summaries if summary.reason is None]
    rms: dict[str, list[float]] = {}
    for summary in kept:
        for ear, values in summary.rms.items():
            rms.setdefault(ear, []).extend(values)
    return {
        "shards": [asdict(shard) for shard in done.shards],
        "rms": rms,
        "skipped": {summary.name: summary.reason for summary in done.summaries if summary.reason is not None},
        "tails": {summary.name: summary.tail for summary in kept},
        "silent": {summary.name: summary.silent for summary in kept if summary.silent},
        "broken": [sentence for summary in kept for sentence in summary.broken],
    }


def outcome(
    rows: Sequence[dict[str, Any]], material: Material, options: EncodeOptions, *, resumed: bool
) -> tuple[manifest.Manifest, dict[str, Any]]:
    """The manifest, and the report that becomes `build.json`, of a build whose groups are all finished."""
    shards = [
        manifest.Shard(**row | {"recordings": tuple(row["recordings"]), "pairs": tuple(row["pairs"])})
        for group in rows
        for row in group["shards"]
    ]
    skipped = dict(material.skipped)
    levels: dict[str, list[float]] = {}
    tails: dict[str, float] = {}
    silent: dict[str, int] = {}
    broken: list[str] = []
    for row in rows:
        skipped |= row["skipped"]
        tails |= row["tails"]
        silent |= row["silent"]
        broken += row["broken"]
        for ear, values in row["rms"].items():
            levels.setdefault(ear, []).extend(values)
    mean_rms = {ear: math.fsum(levels[ear]) / len(levels[ear]) for ear in EARS if ear in levels}
    kept = [unit for name, unit in material.units.items() if name not in skipped]
    result = manifest.build(shards, _media(kept, mean_rms, options), mean_rms, material.plan["options"])
    report = facts(result) | {
        "skipped": dict(sorted(skipped.items())),
        "silent": dict(sorted(silent.items())),
        "broken": broken,
        "tail_seconds": {name: round(t, 6) for name, t in sorted(tails.items()) if t > 1e-6},
        "mono": sorted(unit.name for unit in kept if isinstance(unit, Recording) and unit.mono),
        "times": material.plan["times"],
        "resumed": resumed,
    }
    return result, report


def facts(found: manifest.Manifest) -> dict[str, Any]:
    """What the report of a set takes from its manifest."""
    return {
        "recordings": len(found.recordings),
        "clips": found.clips,
        "shards": len(found),
        "bytes": int(found.shards["bytes"].sum()),
        "splits": {s: int(found.shards["clips"][found.select(s)].sum()) for s in found.splits},
        "mean_rms": found.mean_rms,
        "fingerprint": found.fingerprint,
        "options": found.options,
    }


def _media(kept: Sequence[Unit], mean_rms: dict[str, float], e: EncodeOptions) -> manifest.Media:
    """What the clips of the set have in common."""
    albums = [unit for unit in kept if isinstance(unit, Album)]
    if albums:
        return manifest.Media(0.0, 0, (0, 0), 0, (), picture="still", sound="", classes=albums[0].classes)
    extras = [kind for kind, there in (("flow", e.flow), ("mask", e.mask)) if there]
    if all(isinstance(unit, Recording) and unit.classes for unit in kept):
        extras.append("labels")
    return manifest.Media(
        clip_seconds=e.seconds,
        frames=0 if e.frames == "copy" else e.count,
        size=(0, 0) if e.frames == "copy" else e.size,
        rate=e.rate,
        pairs=tuple(pair for pair in PAIRS if f"{pair}.L" in mean_rms),
        picture=e.frames,
        sound=e.sound,
        extras=tuple(extras),
    )
