"""`make gpu-check`: all that the project claims of a GPU, measured by one command, from a checkout, offline, without an install.

    make gpu-check                               all parts that have not come out yet, in at most nine minutes
    make gpu-check PART=loader,memory            these, anew
    python -m benchmarks.gpu_check --rehearse    the same code on the CPU with small sizes, in a minute or two: that it runs
    python -m benchmarks.gpu_check --report A.json B.json   the figures of several calls as one file and one table

Parts, and seconds that each may take: `benchmarks.gpu.parts.PARTS`. Each runs in a process of its own and writes every figure at
once into `<device>.json` in $OUT (docs/gpu by default), so one that crashes, hangs or is cut off loses only what it had not
measured; the next call goes on with the parts that are not done. Beside it stands `<device>.md`, which says of each bar whether it
is met. Exit status 0 only if all parts that were asked for came out.

On a host whose calls are limited, such as one that is lent for half an hour and starts each call with an empty $OUT:

1. pack the wheels that it lacks (shared/gpu/pack.sh), carry them in calls of their own, install, `export PYTHONPATH=/tmp/site`;
2. `make gpu-check PART=tests,kernels PYTHON=python3`: whether anything works at all. Repair before going on;
3. `make gpu-check PART=loader,memory …`, then `PART=formats,training …`: each within nine minutes; `MATERIAL=/tmp/material` keeps
   the sets between calls of one machine;
4. here: `python -m benchmarks.gpu_check --report` with the JSON files of all calls, and commit what it writes to docs/gpu.

To see what a part says while it runs: `python -m benchmarks.gpu.parts loader RESULTS.json MATERIAL --seconds 200`.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 540.0  # seconds of a call
_LEAST = 20.0  # seconds without which no part is begun


def main(arguments: Sequence[str] = ()) -> int:
    """Run what is asked for, print the table, write JSON and Markdown."""
    asked = _parser().parse_args(arguments)
    try:
        import torch
    except ImportError:
        print("gpu-check: this Python has no torch; name one that has it: make gpu-check PYTHON=…", file=sys.stderr)
        return 1
    try:
        if asked.report is not None:
            return _report(asked.report, asked.out)
        if not asked.rehearse and not torch.cuda.is_available():
            print("gpu-check: this machine has no usable GPU; nothing was checked", file=sys.stderr)
            return 1
        return _check(asked)
    except (OSError, ValueError) as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpu-check", description="Measure what the project claims of a GPU.")
    parser.add_argument("--part", default=os.environ.get("PART", ""), help="some of the parts, with commas between them")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with small sizes")
    parser.add_argument(
        "--limit", type=float, default=float(os.environ.get("LIMIT") or LIMIT), help="seconds, of all parts together"
    )
    out = Path(os.environ.get("OUT") or ROOT / "docs" / "gpu")
    parser.add_argument("--out", type=Path, default=out, help="folder for the results")
    material = os.environ.get("MATERIAL") or None
    parser.add_argument("--material", type=Path, default=material, help="folder that keeps the sets; default: none is kept")
    parser.add_argument("--report", type=Path, nargs="*", help="merge these results and print the table; measure nothing")
    return parser


def _check(asked: argparse.Namespace) -> int:
    import torch

    from benchmarks.gpu.ledger import Ledger, file_name, load
    from benchmarks.gpu.parts import PARTS, run
    from train.environment import machine

    begun = time.monotonic()
    device = "CPU" if asked.rehearse else torch.cuda.get_device_name(0)
    asked.out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(asked.out / file_name(device, asked.rehearse))
    chosen = _chosen(asked.part, {name: part["status"] for name, part in load(ledger.path)["parts"].items()}, list(PARTS))
    facts = machine()
    ledger.head(device=device, rehearsal=asked.rehearse, machine=facts)
    statuses = {}
    with ExitStack() as stack:
        material = asked.material or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        material.mkdir(parents=True, exist_ok=True)
        for name in chosen:
            left = asked.limit - (time.monotonic() - begun)
            if left < _LEAST:
                statuses[name] = "no time was left for it"
                continue
            print(f"· {name}: {PARTS[name].shows}", file=sys.stderr, flush=True)
            seconds = min(PARTS[name].seconds, left - 12)  # in which one that hangs is ended
            how = {"rehearse": asked.rehearse, "seconds": seconds, "commit": facts["commit"]}
            statuses[name] = run(name, ledger.path, material, **how, say=_say)
            print(f"· {name}: {statuses[name]}", file=sys.stderr, flush=True)
    _tell(ledger.path)
    for name, status in statuses.items():
        print(f"{name:10} {status}")
    return 0 if all(status == "done" for status in statuses.values()) else 1


def _chosen(part: str, statuses: dict[str, str], known: list[str]) -> list[str]:
    """The parts to run: those named; else those that are not done; else all.

    Raises:
        ValueError: an unknown name.
    """
    named = [name for name in part.split(",") if name]
    if unknown := [name for name in named if name not in known]:
        raise ValueError(f"PART={unknown[0]} is unknown; there are {', '.join(known)}")
    return named or [name for name in known if statuses.get(name) != "done"] or known


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(files: Sequence[Path], out: Path) -> int:
    """Merge, write and print; with no file named, those that lie in `out`."""
    from benchmarks.gpu.ledger import Ledger, file_name, load, merged

    if not files:
        files = [path for path in sorted(out.glob("*.json")) if not path.name.startswith("rehearsal-")]
        if not files:
            raise ValueError(f"there are no results in {out}; name the files")
        for path in files:
            _tell(path)
        return 0
    for path in files:
        if not path.is_file():
            raise ValueError(f"there are no results at {path}")
    results = [load(path) for path in files]
    out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(out / file_name(str(results[-1].get("device")), bool(results[-1].get("rehearsal"))))
    if ledger.path.exists() and ledger.path.resolve() not in [path.resolve() for path in files]:
        results.insert(0, load(ledger.path))  # what was known before
    ledger.head(**merged(results))
    _tell(ledger.path)
    return 0


def _tell(results: Path) -> None:
    """Write the table beside the results, and print it."""
    from benchmarks.gpu.ledger import load
    from benchmarks.gpu.report import markdown

    text = markdown(load(results))
    results.with_suffix(".md").write_text(text)
    print(text)
    print(f"written: {results.name} and {results.with_suffix('.md').name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
