"""The parts of the check, each in a process of its own: a crash of one, or a device that it has left unusable, is its own matter.

python -m benchmarks.gpu.parts PART RESULTS MATERIAL --device cuda --seconds 240
"""

import argparse
import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.gpu.ledger import Ledger, load

ROOT = Path(__file__).resolve().parent.parent.parent
_GRACE = 10.0  # seconds in which a part that was told to end may do so


@dataclass(frozen=True)
class Part:
    """module: of this room, with `measure(task)`. seconds: that it may take. shows: what, for people."""

    module: str
    seconds: float
    shows: str


PARTS = {
    "tests": Part("suite", 240, "the tests marked gpu"),
    "kernels": Part("kernels", 150, "rotation and STFT against the device's bandwidth, torch and DALI"),
    "loader": Part("loader", 360, "the loader against nvJPEG alone and against a torch DataLoader; equality; CPU use"),
    "formats": Part("formats", 280, "JPEG against H.264, HEVC, VP9 and AV1 by length of group"),
    "training": Part("training", 230, "wait for data with ResNet-50-sized encoders; loss curves of CPU and GPU"),
    "memory": Part("memory", 150, "no growth over 10,000 batches"),
}


def run(
    name: str, results: Path, material: Path, *, rehearse: bool, seconds: float, commit: str | None, say: Callable[[str], None]
) -> str:
    """Measure one part, in at most so many seconds. Returns its status, as it stands in the results."""
    ledger, begun = Ledger(results), time.monotonic()
    ledger.begin(name, shows=PARTS[name].shows, commit=commit)
    command = [sys.executable, "-m", "benchmarks.gpu.parts", name, str(results), str(material), f"--seconds={seconds:.0f}"]
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [*command, *(["--rehearse"] if rehearse else [])],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            late = _wait(child, seconds)
        finally:
            _end(child)
        log.seek(max(0, log.seek(0, os.SEEK_END) - 6000))
        text = log.read().decode(errors="replace")
    status = load(results)["parts"][name]["status"]
    if status == "running":  # it could not say itself how it ended
        status = "out of time" if late else "died"
        how = f"it took longer than {seconds:.0f} s" if late else f"its process ended with {child.returncode}"
        ledger.set(name, status=status, error=how)
    ledger.set(name, seconds=time.monotonic() - begun)
    if status != "done":
        ledger.set(name, log=text)
        say(text)
    return status


def _wait(child: subprocess.Popen, seconds: float) -> bool:
    """Whether it had to be told to end."""
    try:
        child.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE)
    return True


def _end(child: subprocess.Popen) -> None:
    """Whatever is left of it: workers of a DataLoader too."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def main() -> int:
    """One part, in this process; the results say how it went."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("results", type=Path)
    parser.add_argument("material", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rehearse", action="store_true")
    asked = parser.parse_args()
    faulthandler.enable()
    faulthandler.dump_traceback_later(max(1.0, asked.seconds - 2), exit=False)  # where it hung
    import torch

    from benchmarks.gpu.task import PartError, Task

    ledger, begun = Ledger(asked.results), time.monotonic()

    def say(text: str) -> None:
        print(f"· {time.monotonic() - begun:5.1f} s: {text}", flush=True)

    device = torch.device("cpu") if asked.rehearse else torch.device("cuda", 0)
    task = Task(
        device=device,
        small=asked.rehearse,
        until=begun + asked.seconds,
        material=asked.material,
        note=lambda key, value: ledger.note(asked.part, key, value),
        say=say,
    )
    try:
        import_module(f"benchmarks.gpu.{PARTS[asked.part].module}").measure(task)
    except PartError as error:
        ledger.set(asked.part, status="failed", error=str(error))
        return 1
    except Exception as error:
        ledger.set(asked.part, status="failed", error=f"{type(error).__name__}: {error}")
        raise
    ledger.set(asked.part, status="done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
