"""Who goes where: recordings into splits and groups, a group's clips over its shards. Pure functions of names and numbers."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

K = TypeVar("K", str, tuple[str, ...])

GROUP = 16  # recordings whose clips are dealt over the same shards; the unit of work and of resume


def rank(*parts: object) -> int:
    """A 64-bit number that depends on the parts alone, as good as random, the same on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def parse_shares(text: str) -> dict[str, float]:
    """`train=0.8,val=0.2` → {"train": 0.8, "val": 0.2}: the share of each split among the recordings.

    Raises:
        ValueError: another form, a name given twice, a share outside 0 … 1, or shares that do not add up to 1.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        name = name.strip()
        if name in shares:
            raise ValueError(f"split {text!r} names {name!r} twice")
        try:
            shares[name] = float(value)
        except ValueError:
            raise ValueError(f"split {text!r} should look like train=0.8,val=0.2") from None
    if any(not name for name in shares) or any(not 0 <= share <= 1 for share in shares.values()):
        raise ValueError(f"split {text!r} needs names, and shares between 0 and 1")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"split {text!r} adds up to {sum(shares.values()):g}, not 1")
    return shares


def splits(
    given: Mapping[str, str | None], shares: Mapping[str, float], family: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """The split of each recording: the source's word where it has one, the shares for the rest.

    The recordings are ranked by a hash of their names and cut at the shares, so each split gets its share exactly, to one
    recording; the first split named gets what is left. Recordings of one family (cut from one capture, say) are dealt as one.
    """
    of = {name: (family or {}).get(name) or name for name, split in given.items() if split is None}
    families = sorted(set(of.values()), key=lambda name: rank("split", name))
    dealt: dict[str, str] = {}
    first, *others = shares
    at, share = 0, 0.0
    for split in others:
        share += shares[split]
        end = round(share * len(families))
        dealt |= dict.fromkeys(families[at:end], split)
        at = end
    dealt |= dict.fromkeys(families[at:], first)
    return {name: split for name, split in given.items() if split is not None} | {name: dealt[f] for name, f in of.items()}


def groups(kind_of: Mapping[str, K], size: int = GROUP) -> list[tuple[K, tuple[str, ...]]]:
    """(kind, recordings) of every group: recordings of one kind (split and pairs, say), `size` at a time, ordered by name."""
    result = []
    for kind in sorted(set(kind_of.values())):
        names = sorted(name for name, k in kind_of.items() if k == kind)
        result += [(kind, tuple(names[i : i + size])) for i in range(0, len(names), size)]
    return result


def deal(clips: Sequence[tuple[str, int]], shards: int) -> list[list[tuple[str, int]]]:
    """Cut the (recording, index) pairs of a group into `shards` lists of equal length, to one clip, each in mixed order.

    No list is empty: there are fewer lists where there are fewer clips, and none for none.
    """
    shards = min(shards, len(clips))
    if not shards:
        return []
    mixed = sorted(clips, key=lambda clip: (rank("deal", *clip), clip))
    edges = [len(mixed) * i // shards for i in range(shards + 1)]
    return [mixed[low:high] for low, high in zip(edges, edges[1:], strict=False)]
