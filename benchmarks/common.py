"""What the commands of this room share: how they report, and the typer app that `bench` is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataio.cli.common import size

if TYPE_CHECKING:
    from dataio.stream.spec import ClipSpec

bench = typer.Typer(no_args_is_help=True, help="Measure: every figure against a ceiling or a peer of the same run.")


@bench.callback()
def _bench() -> None:
    """Measure: every figure against a ceiling or a peer of the same run."""


def say(text: str) -> None:
    """Progress, on standard error."""
    typer.echo(f"· {text}", err=True)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def shards_or_standard(shards: Any) -> Iterator[Any]:
    """The set named, or standard clips that are synthesised for the occasion and removed afterwards."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        if shards is None:
            from benchmarks.standard import standard_set

            say("synthesising standard clips: 8 frames of 512x256, four pairs at 96 kHz")
            shards = standard_set(Path(folder))
        yield shards


def spec_of(shards: Path | str, frames: int | None, picture: str | None, pairs: str, reduced: bool = False) -> "ClipSpec":
    """What a set holds, or less of it, turned by quarters."""
    from dataio.stream.spec import ClipSpec
    from dataio.stream.store.place import open_store

    store = open_store(shards)
    media = store.manifest.media
    store.close()
    return ClipSpec(
        frames=media.frames if frames is None else frames,
        size=media.size if picture is None else size(picture),
        pairs=media.pairs if pairs == "all" else tuple(p for p in pairs.split(",") if p),
        sound_rate=media.rate,
        sound_seconds=min(1.0, media.clip_seconds),
        reduced=reduced,
        yaw_classes=4 if media.picture and frames != 0 else None,
    )
