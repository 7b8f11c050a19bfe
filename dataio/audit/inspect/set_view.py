"""The whole set in numbers."""

from typing import Any

from dataio.audit.facts import binary, duration, level
from dataio.audit.inspect.sample import Look
from dataio.audit.inspect.text import ROWS, percent, short
from dataio.format.clip import PAIRS


def cards(f: dict[str, Any]) -> list[tuple[str, str]]:
    """The four numbers that one asks for first, each with what it counts."""
    still = f["picture"] == "still"
    cards = [(f"{f['clips']:,}", "pictures" if still else "clips" + (f" of {f['clip_seconds']:g} s" if f["clip_seconds"] else ""))]
    if f["hours"] is not None:
        cards.append((duration(f["hours"]), "in all"))
    if still:
        cards.append((f"{f['classes']:,}", "classes"))
    else:
        cards.append((f"{f['recordings']:,}", "recording" + "s" * (f["recordings"] != 1)))
    return [*cards, (binary(f["bytes"]), f"in {f['shards']:,} shard" + "s" * (f["shards"] != 1))]


def splits(f: dict[str, Any]) -> list[dict[str, Any]]:
    """The facts of each split, its name, and its share of the clips."""
    return [{"name": short(name), "share": s["clips"] / max(1, f["clips"])} | s for name, s in list(f["splits"].items())[:ROWS]]


def level_rows(f: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Pair, mean level of its left and of its right ear."""
    levels = f["mean_rms_dbfs"]
    return [(p, level(levels[f"{p}.L"]), level(levels[f"{p}.R"])) for p in PAIRS if f"{p}.L" in levels and f"{p}.R" in levels]


def kinds(look: Look) -> list[dict[str, Any]]:
    """What the bytes of the shards looked into are."""
    total = sum(look.bytes.values())
    return [
        {
            "name": short(kind),
            "members": look.members[kind],
            "mean": size / look.members[kind],
            "share": size / max(1, total),
            "percent": percent(size / max(1, total)),
        }
        for kind, size in look.bytes.most_common(16)
    ]
