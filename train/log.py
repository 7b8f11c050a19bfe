"""What a run tells: metrics.jsonl, TensorBoard scalars and a progress line."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from train.world import World

METRICS, VALIDATION = "metrics.jsonl", "validation.jsonl"
LINE = (
    "{task.fields[metrics]}  "
    "data {task.fields[data]:.0f} ms  step {task.fields[step]:.0f} ms"  # means since the last flush
)


class RunLog:
    """Collects one line per step and writes them out together, so that a GPU is waited for once per flush, not per step.

    Args:
        folder: the run folder; only the first process of the world writes there, and talks.
        world: the processes of the run; losses and metrics are means over them.
        step: steps already taken; lines of later steps, left behind by a run that was killed, are removed.
        total: steps of the whole run.
    """

    def __init__(self, folder: Path, world: World, *, step: int, total: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        self.folder, self.world = folder, world
        self._pending: list[tuple[dict[str, Any], list[str], torch.Tensor]] = []
        quiet = not world.first
        self.console = Console(stderr=True, quiet=quiet)
        self._progress = Progress(
            BarColumn(bar_width=10), MofNCompleteColumn(), TextColumn(LINE), TimeRemainingColumn(),
            console=self.console, disable=quiet,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=total, completed=step, metrics="", data=0.0, step=0.0)
        self._board: SummaryWriter | None = None
        if world.first:
            for name in (METRICS, VALIDATION):
                _keep_until(folder / name, step)
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
        if self._board is not None:
            self._board.close()

    def note(self, step: int, metrics: dict[str, torch.Tensor], **numbers: float) -> None:
        """Remember one step: `loss` and other metrics on the device, from which nothing is copied yet, and plain numbers."""
        values = torch.stack([value.detach().float() for value in metrics.values()])
        self._pending.append(({"step": step, **numbers}, list(metrics), values))

    def flush(self) -> None:
        """Write what was noted. Every process of the run must call it at the same step.

        Raises:
            RuntimeError: a loss was not finite; the message names the first such step.
        """
        if not self._pending:
            return
        values = self.world.mean(torch.stack([value for *_, value in self._pending])).tolist()
        names = self._pending[0][1]
        lines = [{**line, **dict(zip(names, row, strict=True))} for (line, *_), row in zip(self._pending, values, strict=True)]
        self._pending.clear()
        finite = [line for line in lines if torch.isfinite(torch.tensor(line["loss"]))]
        self._write(METRICS, finite)
        if len(finite) < len(lines):
            bad = next(line for line in lines if line not in finite)
            raise RuntimeError(
                f"the loss is {bad['loss']} at step {bad['step']} (lr {bad['lr']:.2g}); lower optim.lr or set optim.grad_clip, "
                "and look at the input of that step"
            )
        mean = {key: sum(line[key] for line in lines) / len(lines) for key in lines[0]}
        self._progress.update(
            self._task, completed=lines[-1]["step"], metrics="  ".join(f"{name} {mean[name]:.3f}" for name in names[:2]),
            data=1000 * mean["data_seconds"], step=1000 * mean["step_seconds"],
        )  # fmt: skip

    def validation(self, step: int, numbers: dict[str, float]) -> None:
        """Write the result of one validation."""
        self._write(VALIDATION, [{"step": step, **numbers}])
        self.say(f"step {step}: validation " + ", ".join(f"{key} {value:.3f}" for key, value in numbers.items()))

    def say(self, text: str) -> None:
        """One line for people, above the progress bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _write(self, name: str, lines: list[dict[str, Any]]) -> None:
        if not self.world.first:
            return
        with (self.folder / name).open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        for line in lines:
            for key, value in line.items():
                if self._board is not None and key != "step":
                    self._board.add_scalar(f"{name.removesuffix('.jsonl')}/{key}", value, line["step"])


def read_log(folder: Path, name: str = METRICS) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl or validation.jsonl; a last line that was cut off in the middle is left out."""
    path = folder / name
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _keep_until(path: Path, step: int) -> None:
    lines = [line for line in read_log(path.parent, path.name) if line["step"] <= step]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
    temporary.replace(path)
