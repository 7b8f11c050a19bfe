"""How the set is spread: histograms, each with a title and a sentence that says what was counted."""

from collections import Counter

import numpy as np

from dataio.audit import mixing
from dataio.audit.inspect.figures import histograms
from dataio.audit.inspect.figures.chart import label
from dataio.audit.inspect.sample import Look
from dataio.audit.inspect.text import number, uri
from dataio.format import manifest
from dataio.format.clip import PAIRS


def charts(found: manifest.Manifest, look: Look, *, complete: bool) -> list[dict[str, str]]:
    """Histograms, each with a title and a sentence that says what was counted."""
    drawn: list[tuple[str, str, bytes | None]] = []
    if look.levels:
        drawn.append(_level_chart(look))
    if found.media.classes and look.classes:
        classes = sum(look.classes.values(), Counter())
        names = [name for name, _ in classes.most_common()]
        note = f"{len(names):,} of {len(found.media.classes):,} classes met in {look.jsons:,} pictures."
        drawn.append(("Classes", note, histograms.ranking(np.array([classes[name] for name in names]), names)))
    if found.media.clip_seconds and look.ends:
        seconds = np.array(list(look.ends.values())) + found.media.clip_seconds
        note = "To the end of the last clip" + (" of each." if complete else " met in the sampled shards, so a little short.")
        unit, values = ("minutes", seconds / 60) if seconds.max() > 180 else ("seconds", seconds)
        drawn.append(_histogram("Length of the recordings", note, values, unit, "recordings"))
    if complete and found.media.picture != "still" and look.counts:
        clips = np.array(list(mixing.together(list(look.counts.values())).values()))
        drawn.append(_histogram("Clips of a recording", "In all shards together.", clips, "clips", "recordings"))
    if look.sizes:
        rows = {label(kind): {"": np.concatenate(look.sizes[kind])} for kind, _ in look.bytes.most_common(10)}
        drawn.append(("Size of the members", "By kind; each as high as its fullest bin.", histograms.ridges(rows, "", sizes=True)))
    if len(found):
        note = f"All {len(found):,} shards."
        what = "pictures" if found.media.picture == "still" else "clips"
        drawn.append(_histogram(f"{what.capitalize()} in a shard", note, found.shards["clips"], what, "shards"))
        unit, scale = ("MiB", 2**20) if found.shards["bytes"].max() >= 2**20 else ("KiB", 2**10)
        drawn.append(_histogram("Bytes in a shard", note, found.shards["bytes"] / scale, unit, "shards"))
    return [{"title": title, "note": note, "uri": uri("png", png) if png else ""} for title, note, png in drawn]


def _histogram(title: str, note: str, values: np.ndarray, unit: str, what: str) -> tuple[str, str, bytes | None]:
    """A chart; where there is one value only, the note says it."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * abs(high):
        said = f"{number(high)} {unit if high != 1 else unit.removesuffix('s')}"
        return title, f"{said}, all {len(values):,} {what}." if len(values) > 1 else f"{said}, the only one.", None
    return title, f"{number(low)} to {number(high)} {unit}. {note}", histograms.bars(values, unit, what)


def _level_chart(look: Look) -> tuple[str, str, bytes | None]:
    rows: dict[str, dict[str, np.ndarray]] = {}
    silent = 0
    for pair in PAIRS:
        for side, name in (("L", "left"), ("R", "right")):
            values = np.array(look.levels.get(f"{pair}.{side}", []))
            silent += int((values <= 0).sum())
            if (values > 0).any():
                rows.setdefault(pair, {})[name] = 20 * np.log10(values[values > 0])
    note = f"RMS of {look.jsons:,} clips, by their json." + (
        f" {silent:,} ears in digital silence are not drawn." if silent else ""
    )
    return "Level", note, histograms.ridges(rows, "dBFS") if rows else None
