"""What the commands share: arguments, sizes, places, progress."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

ShardsArgument = Annotated[str, typer.Argument(help="Folder of a shard set, on this machine.")]
JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON; - for standard output.")
]


def size(text: str) -> tuple[int, int]:
    """`256x512` → (256, 512): height, then width.

    Raises:
        ValueError: another form.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise ValueError(f"size {text!r} should be HEIGHTxWIDTH, such as 256x512")
    return int(match[1]), int(match[2])


def on_disk(place: str, command: str) -> Path:
    """The path that is meant, also by `file://`.

    Raises:
        ValueError: a URL of another kind, which `command` cannot work on.
    """
    path = path_of(place)
    if path is None:
        raise ValueError(f"{command} works on local folders, not on {place}: copy or mount it")
    return path


def path_of(place: str) -> Path | None:
    """None for a URL."""
    for protocol in ("file://", "local://"):
        place = place.removeprefix(protocol)
    return None if "://" in place else Path(place)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Any]:
    """A rich progress bar on standard error, with the time left; yields `update(done, note, total)`.

    It wipes itself out at the end. Where standard error is no terminal, a line every half minute takes its place.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console, transient=True) as bar:
        task = bar.add_task(what, total=total, note="")
        yield lambda done, note="", total=total: bar.update(task, completed=done, total=total, note=note)


def _lines(what: str, total: int) -> Any:
    begin = last = time.monotonic()

    def update(done: float, note: str = "", total: float = total) -> None:
        nonlocal last
        if (now := time.monotonic()) - last < 30:
            return
        last = now
        left = f", {timedelta(seconds=round((now - begin) * (total - done) / done))} left" if done else ""
        print(f"{what}: {done / total:.0%}{left}{'; ' + note if note else ''}", file=sys.stderr, flush=True)

    return update
