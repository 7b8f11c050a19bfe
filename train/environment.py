"""On what something was computed: processor, GPUs, versions, commit. It goes into run folders, and into the JSON of every bench."""

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dataio.format.atomic import write_file

NAME = "environment.json"

PACKAGES = (
    "torch",
    "torchaudio",
    "torchvision",
    "nvidia-dali-cuda130",
    "cupy-cuda13x",
    "numba",
    "numba-cuda",
    "numpy",
    "av",
    "webdataset",
)


def installed(package: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def gpus() -> list[dict[str, Any]]:
    """Name and memory (GiB) of every GPU that torch can use."""
    import torch

    if not torch.cuda.is_available():
        return []
    facts = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [{"name": f.name, "memory_gib": round(f.total_memory / 2**30, 1)} for f in facts]


def machine() -> dict[str, Any]:
    """Processor, cores, memory, GPUs, versions and the commit of the checkout (with `+` where files differ from it)."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": gpus(),
        "python": platform.python_version(),
        "packages": {package: installed(package) for package in PACKAGES},
        "commit": _commit(),
    }


def note_environment(folder: Path) -> None:
    """Write folder/environment.json: `machine()` at the last start of a run, and `commits`, those of all of its starts in turn."""
    path, now = folder / NAME, machine()
    before = json.loads(path.read_text())["commits"] if path.exists() else []
    commits = [*before, *([] if before[-1:] == [now["commit"]] else [now["commit"]])]
    write_file(path, (json.dumps({**now, "commits": commits}, indent=2) + "\n").encode())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str | None:
    root = Path(__file__).resolve().parent.parent
    try:
        run = [subprocess.run(["git", "-C", root, *command], capture_output=True, text=True, check=True).stdout for command in _GIT]
    except (OSError, subprocess.CalledProcessError):
        return None
    return run[0].strip() + ("+" if run[1].strip() else "")


_GIT = (["rev-parse", "--short", "HEAD"], ["status", "--porcelain"])
