"""What a set holds, from its manifest alone: as a dict for JSON, and as a table for people. O(shards)."""

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dataio.format.clip import EARS
from dataio.format.manifest import Manifest

if TYPE_CHECKING:
    from rich.console import RenderableType


def facts(found: Manifest) -> dict[str, Any]:
    """The facts of a set as JSON.

    hours, clip_seconds are null where the clips have no common length; levels in dBFS are relative to full scale (a full sine has
    −3.01) and null for digital silence.
    """
    media, shards = found.media, found.shards
    seconds = media.clip_seconds or None
    levels = {ear: found.mean_rms[ear] for ear in in_order(found.mean_rms)}
    return {
        "clips": found.clips,
        "shards": len(found),
        "recordings": len(found.recordings),
        "hours": _hours(found.clips, seconds),
        "bytes": int(shards["bytes"].sum()),
        "mean_shard_bytes": round(float(shards["bytes"].mean())) if len(found) else 0,
        "mean_clip_bytes": round(int(shards["bytes"].sum()) / found.clips) if found.clips else 0,
        "splits": {name: _split(found, name, seconds) for name in found.splits},
        "clip_seconds": seconds,
        "frames": media.frames,
        "size": list(media.size),
        "picture": media.picture,
        "sound": media.sound,
        "sound_rate": media.rate,
        "pairs": list(media.pairs),
        "extras": list(media.extras),
        "classes": len(media.classes),
        "mean_rms": levels,
        "mean_rms_dbfs": {ear: rounded(dbfs(value)) for ear, value in levels.items()},
        "fingerprint": found.fingerprint,
        "options": found.options,
    }


def _split(found: Manifest, name: str, seconds: float | None) -> dict[str, Any]:
    rows = found.select(name)
    begin = found.shards["recording_begin"]
    chosen = np.zeros(len(found), bool)
    chosen[rows] = True
    recordings = found.shards["recordings"][np.repeat(chosen, np.diff(begin))]
    clips = int(found.shards["clips"][rows].sum())
    return {
        "clips": clips,
        "shards": len(rows),
        "recordings": len(np.unique(recordings)),
        "hours": _hours(clips, seconds),
        "bytes": int(found.shards["bytes"][rows].sum()),
    }


def _hours(clips: int, seconds: float | None) -> float | None:
    return None if seconds is None else clips * seconds / 3600


def in_order(levels: dict[str, Any]) -> list[str]:
    """The ears of a dict in the order of a batch; names that are no ears of ours after them."""
    return [ear for ear in EARS if ear in levels] + sorted(set(levels) - set(EARS))


def dbfs(rms: float) -> float:
    """Level of an RMS of full scale, in dB; −∞ for silence."""
    return 20 * math.log10(rms) if rms > 0 else -math.inf


def rounded(level: float, digits: int = 2) -> float | None:
    """For JSON, which has no infinity."""
    return round(level, digits) if math.isfinite(level) else None


def binary(size: float) -> str:
    """Bytes as people read them: `1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.{1 if size < 100 else 0}f} {unit}"
        size /= 1024
    raise AssertionError


def duration(hours: float) -> str:
    """Hours as people read them: `36 h`, `2.1 h`, `5.3 min`, `48 s`."""
    if hours >= 1:
        return f"{hours:,.{1 if hours < 10 else 0}f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"


def level(value: float | None) -> str:
    """A level in dBFS as people read it."""
    return "silence" if value is None else f"{value:.1f} dBFS".replace("-", "−")


def plain(text: object) -> str:
    """Text of others on one line, without control characters: a name must not paint on a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def describe(f: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts as (name, text), in the order in which one asks for them; what a set does not have is left out."""
    height, width = f["size"]
    seconds = "" if f["clip_seconds"] is None else f" of {f['clip_seconds']:g} s, {duration(f['hours'])}"
    size = f"{height}×{width}" if height else "of several sizes"
    pictures = {
        "still": f"one picture a clip, {size}",
        "copy": "as recorded, one container a clip",
        "": "",
        "jpeg": f"{f['frames']} a clip, {size}, jpeg" if f["frames"] else "",
    }
    picture = pictures.get(f["picture"], f"{f['frames']} a clip, {size}, {plain(f['picture'])}")
    sound = f"{plain(f['sound'])}, {f['sound_rate'] / 1000:g} kHz; pairs {', '.join(map(plain, f['pairs']))}"
    each = f"{binary(f['mean_shard_bytes'])} a shard, {binary(f['mean_clip_bytes'])} a clip"
    rows = [
        ("clips", f"{f['clips']:,}{seconds}"),
        ("recordings", f"{f['recordings']:,}"),
        ("shards", f"{f['shards']:,}, {binary(f['bytes'])}; {each}"),
        ("frames", picture),
        ("sound", sound if f["pairs"] else ""),
        ("also", ", ".join(map(plain, f["extras"]))),
        ("classes", f"{f['classes']:,}" if f["classes"] else ""),
        ("mean level", ";  ".join(f"{plain(ear)} {level(v)}" for ear, v in f["mean_rms_dbfs"].items())),
        ("fingerprint", plain(f["fingerprint"])),
        ("options", ", ".join(f"{name}={value}" for name, value in flat(f["options"]))),
    ]
    return [(name, text) for name, text in rows if text]


def flat(options: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested options as (`encode.fps`, `4.0`), sorted by name."""
    rows: list[tuple[str, str]] = []
    for name in sorted(options):
        value = options[name]
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{plain(name)}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rows.append((f"{prefix}{plain(name)}", plain(text)))
    return rows


def table(f: dict[str, Any]) -> "RenderableType":
    """The facts for a terminal: one table of the set, one of its splits. Nothing in them is taken for markup."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    whole = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    whole.add_column(style="bold", no_wrap=True)
    whole.add_column(overflow="fold")
    for name, text in describe(f):
        whole.add_row(name, Text(text))
    splits = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("split", "clips", "shards", "recordings", "length", "size"):
        splits.add_column(head, justify="left" if head == "split" else "right")
    for name, s in f["splits"].items():
        length = "" if s["hours"] is None else duration(s["hours"])
        counts = (f"{s[key]:,}" for key in ("clips", "shards", "recordings"))
        splits.add_row(Text(plain(name)), *counts, length, binary(s["bytes"]))
    return Group(whole, "", splits)
