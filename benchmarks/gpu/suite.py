"""The tests marked `gpu`, each of which must run: one that is skipped has shown nothing."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from benchmarks.gpu.task import PartError, Task

ROOT = Path(__file__).resolve().parent.parent.parent


def measure(task: Task) -> None:
    """Notes `passed`, `failed`, `skipped` and `tests`, and the first line of every failure, by test.

    Raises:
        PartError: a test failed or was skipped, or there was none; in a rehearsal, where those that need a device are, skipping is
            well.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", "tests/gpu", f"--junitxml={file}", *([] if task.small else ["-m", "gpu"])]
        done = subprocess.Popen(command, cwd=ROOT, env=os.environ | ({"REHEARSE": "cpu"} if task.small else {}))
        try:
            done.wait(max(1.0, task.left - 5))
        except subprocess.TimeoutExpired:
            done.kill()
            done.wait()
            raise PartError("the tests took longer than this part may") from None
        if not file.exists():
            raise PartError(f"pytest ended with {done.returncode} and without a report")
        found = summary(file)
    for name, value in found.items():
        task.note(name, value)
    if not found["tests"]:
        raise PartError("there was no test")
    if found["failed"] or (found["skipped"] and not task.small):
        raise PartError(f"{found['failed']} failed, {found['skipped']} skipped of {found['tests']}")


def summary(file: Path) -> dict[str, Any]:
    """What a JUnit report says."""
    cases = list(ElementTree.parse(file).getroot().iter("testcase"))
    failures: dict[str, str] = {}
    skipped = 0
    for case in cases:
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped += case.find("skipped") is not None
        for kind in ("failure", "error"):
            if (bad := case.find(kind)) is not None:
                failures[name] = (bad.get("message") or "no message").partition("\n")[0][:300]
    counts = {"tests": len(cases), "failed": len(failures), "skipped": skipped}
    return counts | {"passed": len(cases) - len(failures) - skipped, "failures": failures}
