"""What was left out of the set, as build.json tells it."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from dataio.audit.facts import binary, flat, plain
from dataio.audit.inspect.members import MEMBER, is_number, json_object
from dataio.audit.inspect.text import ROWS, TEXT, cut, reason, short

T = TypeVar("T")

_NAMED, _SHOWN = 100, 12  # of what was left out: with its reason, with a number

_FILE = (".mp4", ".mov", ".mkv", ".webm", ".m4a", ".wav", ".flac", ".ogg", ".tar", ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
_PICTURE = re.compile(r".*\.(?:jpe?g|png|webp|bmp|gif)(?= )", re.IGNORECASE)  # a sentence begins with its file; names have spaces
_TOLD = "skipped silent broken tail_seconds mono resumed"  # here; what follows is of the manifest, and told elsewhere
_ELSEWHERE = "bytes clips fingerprint mean_rms options recordings shards splits times"


def left_out(folder: Path) -> dict[str, Any] | None:
    """What build.json says of what was not built; None where there is none, as in a set that was only indexed.

    Returns:
        skipped, silent, broken: each a dict with `count`, and with `rows` for a table; more of them for what is named one by one.
        tails, tail_count, tail_seconds: what was dropped at the ends. mono: recordings with one track in both ears. resumed.
        others: what else it says. Or `error`, alone, where it cannot be read.
    """
    path = folder / "build.json"
    try:
        if path.stat().st_size > MEMBER:
            return {"error": f"build.json is too large to be shown: {binary(path.stat().st_size)}"}
        known = json_object(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return {"error": short(f"build.json {reason(error, folder)}")}
    skipped, broken = _as(dict, known.get("skipped")), _as(list, known.get("broken"))
    ends, silent = (_numbers(known.get(name)) for name in ("tail_seconds", "silent"))
    try:
        others = cut(flat({k: v for k, v in known.items() if k not in f"{_TOLD} {_ELSEWHERE}".split()}))
    except RecursionError:
        others = []
    return {
        "skipped": {
            "count": len(skipped),
            "rows": reasons(skipped.items()),
            "names": [(short(name), short(why)) for name, why in list(skipped.items())[:_NAMED]],
        },
        "silent": {"count": round(math.fsum(v for v, _ in silent)), "recordings": len(silent), "rows": silent[:_SHOWN]},
        "broken": {
            "count": len(broken),
            "rows": reasons(map(_sentence, broken)),
            "names": [short(sentence) for sentence in broken[:_NAMED]],
        },
        "tails": ends[:_SHOWN],
        "tail_count": len(ends),
        "tail_seconds": math.fsum(v for v, _ in ends),
        "mono": len(_as(list, known.get("mono"))),
        "resumed": known.get("resumed") is True,
        "others": others,
    }


def reasons(left: Iterable[tuple[str, object]]) -> list[tuple[str, int, str]]:
    """(reason, how often, one that it befell), the most frequent first. Reasons that differ in names and numbers count as one.

    Args:
        left: (name, reason) of each.
    """
    counted: Counter[str] = Counter()
    example: dict[str, str] = {}
    for name, why in left:
        text = " ".join(_nameless(word) for word in _without(plain(name), plain(why)[: 4 * TEXT]).split(" "))
        text = re.sub(r"\d+(\.\d+)?", "#", text)[:TEXT]
        counted[text] += 1
        example.setdefault(text, short(name))
    return [(text, count, example[text]) for text, count in sorted(counted.items(), key=lambda c: (-c[1], c[0]))[:ROWS]]


def _without(name: str, text: str) -> str:
    """The text with … for its first word or words that are this name."""
    before, found, after = text.partition(name) if name else (text, "", "")
    alone = not before[-1:].isalnum() and not after[:1].isalnum()
    return f"{before}…{after}" if found and alone else text


def _nameless(word: str) -> str:
    """The word, or … for the name of a file, keeping what punctuation follows."""
    bare = word.rstrip(":,;.)")
    return "…" + word[len(bare) :] if bare.lower().endswith(_FILE) else word


def _sentence(text: object) -> tuple[str, object]:
    """A sentence about a picture as the name of its file and the sentence."""
    found = _PICTURE.match(said := plain(text)[: 4 * TEXT])
    return (found[0], f"…{said[found.end() :]}") if found else ("", said)


def _numbers(known: object) -> list[tuple[float, str]]:
    """(number, name) of a dict, the largest first; what is no number is left out."""
    found = ((float(v), short(k)) for k, v in _as(dict, known).items() if is_number(v))
    return sorted(found, key=lambda e: (-e[0], e[1]))


def _as(kind: type[T], value: object) -> T:
    """The value, or an empty one of this kind where others wrote something else."""
    return value if isinstance(value, kind) else kind()
