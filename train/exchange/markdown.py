"""Markdown from facts that were written by others: what they hold is shown and never obeyed."""

import re
from collections.abc import Sequence

MARKS = re.compile(r"([\\`*_\[\]<>|#~])")


def escaped(text: str) -> str:
    """In one line, without Markdown and without HTML."""
    return MARKS.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """As code, in one line that may stand in a table's cell."""
    text = " ".join(text.split()).replace("|", "\\|")
    if "`" not in text:
        return f"`{text or ' '}`"
    fence = "`" * (1 + _longest(text))
    return f"{fence} {text} {fence}"


def block(text: str, language: str) -> str:
    """Lines of code, fenced by more backticks than any row of them in the text."""
    fence = "`" * max(3, 1 + _longest(text))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are Markdown already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def _longest(text: str) -> int:
    return max((len(row) for row in re.findall("`+", text)), default=0)
