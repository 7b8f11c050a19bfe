"""Texts of others as a page may show them, and numbers as people read them."""

import base64
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from dataio.audit.facts import plain

TEXT, ROWS = 300, 40  # characters of a text of others, rows of a table of such texts


def short(text: object) -> str:
    """Text of others on one line, without control characters, no longer than one wants to read."""
    return plain(text)[:TEXT]


def cut(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows and texts of others, no more of them than one wants to read."""
    texts: Iterator[tuple[str, str]] = ((name[:TEXT], text if len(text) <= TEXT else text[:TEXT] + " …") for name, text in rows)
    return [row for row, _ in zip(texts, range(ROWS), strict=False)]


def reason(error: Exception, folder: Path) -> str:
    """What went wrong, without the place of the set on this machine."""
    if isinstance(error, OSError) and error.strerror:
        return f"{Path(error.filename).name if isinstance(error.filename, str) else 'it'} cannot be read: {error.strerror}"
    return (str(error) or type(error).__name__).replace(f"{folder}/", "").rstrip(".")


def stamp(seconds: float) -> str:
    """Seconds of a recording as `1:02:03.25`, `2:03.25` or `3.25 s`."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "below 0.1 %"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value.is_integer() else f"{value:.1f}"


def uri(kind: str, data: bytes, family: str = "image") -> str:
    return f"data:{family}/{kind};base64,{base64.b64encode(data).decode()}"
