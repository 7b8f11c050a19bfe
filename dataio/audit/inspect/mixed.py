"""How well the recordings of the set are mixed, and what batches of it look like."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataio.audit import mixing
from dataio.audit.inspect.figures.tapestry import tapestry
from dataio.audit.inspect.sample import Look
from dataio.audit.inspect.text import short, uri
from dataio.format import manifest
from dataio.stream.order import random


def mixed(found: manifest.Manifest, look: Look, stream: int) -> list[dict[str, Any]]:
    """How well each split is mixed, and what batches of it look like."""
    begin = found.shards["recording_begin"]
    shard = np.repeat(np.arange(len(found)), np.diff(begin))
    result = []
    for at, split in enumerate(found.splits):
        drawn = [row for row in look.counts if found.shards["split"][row] == at and look.counts[row]]
        if not drawn:
            continue
        mine = found.shards["split"][shard] == at
        known = {row: look.counts[row] for row in drawn}
        whole = mixing.whole_split(found.shards["recordings"][mine], shard[mine], found.shards["clips"], known)
        measures = mixing.mixing(split, list(known.values()), whole)
        panels = _batches([look.sequence[row] for row in drawn], whole, random.key(stream, "batches", at))
        view = measures.as_dict() | {
            "split": short(split),
            "of": int((found.shards["split"] == at).sum()),
            "uri": uri("png", tapestry(panels, mixing.BATCH)) if measures.recordings > 1 else "",
        }
        result.append(view)
    return result[:8]


def _batches(shards: Sequence[np.ndarray], whole: np.ndarray, stream: int, batches: int = 10) -> dict[str, np.ndarray]:
    """Recording of each clip of the first batches: shard after shard, as the loader deals them, and of a perfect shuffle."""
    need = batches * mixing.BATCH
    stored = np.concatenate(shards)[:need]
    dealt: list[np.ndarray] = []
    at = 0
    while at < len(shards) and sum(len(window) for window in dealt) < need:
        window = np.concatenate(shards[at : at + mixing.WINDOW])
        dealt.append(window[random.permutation(random.key(stream, at), len(window))])
        at += mixing.WINDOW
    if whole.sum() <= 10**6:
        everything = np.repeat(np.arange(len(whole)), np.rint(whole).astype(np.int64))
        perfect = everything[random.permutation(stream, len(everything))]
    else:  # so many that drawing without putting back makes no difference
        edges = np.cumsum(whole) / whole.sum()
        perfect = np.searchsorted(edges, random.draw(stream, np.arange(need)) / 2.0**64)
    loader = f"as loaded: windows of {min(mixing.WINDOW, len(shards))} shards"
    return {"as stored, shard by shard": stored, loader: np.concatenate(dealt)[:need], "a perfect shuffle": perfect[:need]}
