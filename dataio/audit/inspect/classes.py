"""How well the classes of a set of pictures are mixed, by the pictures whose class was read.

A sample tells without bias how often two pictures are of one class: Σ n (n − 1) / (N (N − 1)), with n pictures of a class among N
(Simpson 1949). The inverse is the effective number of classes: of so many of equal share, two pictures would agree as often.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataio.audit import mixing
from dataio.audit.inspect.sample import Look
from dataio.audit.inspect.text import percent, short
from dataio.format import manifest


@dataclass(frozen=True)
class Repeats:
    """How probable it is that two pictures are of one class: both of one shard, of one window, of the whole split."""

    shard: float
    window: float
    whole: float


def repeats(shards: Sequence[Mapping[str, int]], of: int, window: int = mixing.WINDOW) -> Repeats:
    """How the classes are spread over the shards of a split: all three are equal where they are spread perfectly.

    Two pictures of the split lie in one shard with probability 1/S. Pairs of one shard, which a sample of few shards holds far too
    often, count for that much in `whole`, and pairs of two shards for the rest.

    Args:
        shards: {class: pictures} of what was read of some shards, in random order, about as many of each.
        of: S, shards of the split. window: shards shuffled together.

    Raises:
        ValueError: no shards, more of them than the split has, or a window smaller than one.
    """
    if not shards or of < len(shards) or window < 1:
        raise ValueError(f"classes of {len(shards)} out of {of} shards, window {window}: each must be at least 1")
    single = [_counts(shard) for shard in shards]
    shard = _agree(single)
    total, pictures = _counts(mixing.together(shards)), np.array([int(c.sum()) for c in single])
    pairs = int(pictures.sum()) ** 2 - int((pictures**2).sum())  # of two shards, in either order
    same = int((total**2).sum()) - sum(int((c**2).sum()) for c in single)
    whole = shard / of + (1 - 1 / of) * same / pairs if pairs else shard
    return Repeats(shard, _agree([_counts(each) for each in mixing.windows(shards, window)]), whole)


def _agree(parts: Sequence[np.ndarray]) -> float:
    """Mean over the pictures of the probability that another one of their part is of the same class."""
    pairs = [c for c in parts if c.sum() > 1]
    return float(np.average([mixing.same_pairs(c, 2) for c in pairs], weights=[c.sum() for c in pairs])) if pairs else 0.0


def _counts(shard: Mapping[str, int]) -> np.ndarray:
    return np.fromiter(shard.values(), np.int64, len(shard))


def mixed_classes(found: manifest.Manifest, look: Look) -> list[dict[str, Any]]:
    """For each split what two pictures of a shard, of a window and of the whole have in common, as rows of a table."""
    result = []
    for number, split in enumerate(found.splits):
        of = int((found.shards["split"] == number).sum())
        seen = [classes for row, classes in look.classes.items() if found.shards["split"][row] == number]
        pictures = sum(classes.total() for classes in seen)
        if of < 2 or pictures < 2:
            continue
        r, window = repeats(seen, of), min(mixing.WINDOW, len(seen))
        places = [("one shard", r.shard), ("the whole split", r.whole)]
        if window > 1:
            places.insert(1, (f"a window of {window} shards", r.window))
        rows = [
            {"of": place, "same": percent(same), "classes": _effective(same), "batch": same * mixing.BATCH * (mixing.BATCH - 1) / 2}
            for place, same in places
        ]
        result.append({"split": short(split), "pictures": pictures, "shards": len(seen), "of": of, "rows": rows})
    return result[:8]


def _effective(same: float) -> str:
    if not same:
        return "more than were met"
    return f"{1 / same:.1f}" if same > 0.01 else f"{float(f'{1 / same:.2g}'):,.0f}"  # of pairs met by chance two digits are sure
