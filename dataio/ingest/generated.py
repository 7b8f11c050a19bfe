"""A folder that a generator fills: whose it is, where an interrupted run goes on, and when it is complete."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Mark:
    """The file that says what a folder holds.

    Attributes:
        file: its name in a complete set. While the set is being written, the same text stands in `plan`.
        format, version: of the set; a folder that bears another mark is refused.
        what: what the set consists of, in the plural, for messages.
    """

    file: str
    format: str
    version: int
    what: str

    @property
    def plan(self) -> str:
        """Name of the mark while the set is being written."""
        return f".{self.file}.partial"

    def claim(self, out: Path, options: dict[str, Any]) -> None:
        """Make `out` the folder of the set with these options, or see that it is already.

        Raises:
            ValueError: it is a file, or holds other things, or a set with other options.
        """
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out} is a file: give the name of a new or empty folder")
        out.mkdir(parents=True, exist_ok=True)
        wanted = {"format": self.format, "version": self.version, "options": json.loads(json.dumps(options))}
        for name in (self.file, self.plan):
            if (out / name).exists():
                self._compare(out, _read(out / name), wanted)
                return
        temporary = out / (self.plan + ".new")
        if any(path != temporary for path in out.iterdir()):
            raise ValueError(f"{out} is neither empty nor a set of synthetic {self.what}: give the name of a new or empty folder")
        temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, out / self.plan)

    def reopen(self, out: Path) -> None:
        """The set of a claimed folder is not complete, or not any more: something of it is missing."""
        if (out / self.file).exists():
            os.replace(out / self.file, out / self.plan)

    def complete(self, out: Path) -> None:
        """The set of a claimed folder is complete."""
        if not (out / self.file).exists():
            os.replace(out / self.plan, out / self.file)

    def _compare(self, out: Path, found: dict[str, object], wanted: dict[str, Any]) -> None:
        old, new = found.get("options"), wanted["options"]
        if (found.get("format"), found.get("version")) != (self.format, self.version) or not isinstance(old, dict):
            raise ValueError(
                f"{out} holds no set of synthetic {self.what} of this version ({self.format} {self.version}): "
                "give a new or empty folder"
            )
        differing = [f"{name}={old.get(name)!r}" for name in new if old.get(name) != new[name]]
        if differing:
            raise ValueError(
                f"{out} holds {self.what} made with {', '.join(differing)}: repeat those values, or give a new or empty folder"
            )


def check_workers(workers: object) -> None:
    """Raises ValueError unless `workers` is a whole number from 1."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers={workers!r} is not allowed: it must be a whole number from 1")


def spread(write: Callable[..., T], tasks: Sequence[tuple[Any, ...]], workers: int) -> Iterator[T]:
    """Call `write(*task)` for every task, here or in up to `workers` spawned processes, and yield each result as it comes."""
    if workers == 1 or len(tasks) <= 1:
        for task in tasks:
            yield write(*task)
        return
    pool = ProcessPoolExecutor(min(workers, len(tasks)), multiprocessing.get_context("spawn"))
    try:
        for future in as_completed([pool.submit(write, *task) for task in tasks]):
            yield future.result()
    finally:
        # after an error, or when the caller is interrupted, what has not begun never begins
        pool.shutdown(cancel_futures=True)


def _read(path: Path) -> dict[str, object]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        facts = None
    return facts if isinstance(facts, dict) else {}
