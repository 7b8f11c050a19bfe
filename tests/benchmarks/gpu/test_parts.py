"""A part may crash, hang or fail: it is said so, what it had measured stays, and nothing of it goes on."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.gpu import parts
from benchmarks.gpu.ledger import load

BODY = """
import os
from benchmarks.gpu.task import PartError
def measure(task):
    task.note("before", 1)
    {what}
"""


@pytest.mark.parametrize(
    ("what", "status", "error"),
    [
        ("pass", "done", None),
        ("raise PartError('two of three')", "failed", "two of three"),
        ("1 / 0", "failed", "ZeroDivisionError: division by zero"),
        ("os.kill(os.getpid(), 11)", "died", "its process ended with -11"),
    ],
)
def test_how_it_ends_is_written(tmp_path, monkeypatch, what, status, error):
    folder = tmp_path / "site"
    folder.mkdir()
    # the part runs in a process of its own, in which this folder is looked into before the room itself
    (folder / "sitecustomize.py").write_text(
        "import benchmarks.gpu\nbenchmarks.gpu.__path__.insert(0, __file__.rpartition('/')[0])\n"
    )
    (folder / "kernels.py").write_text(BODY.format(what=what))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{parts.ROOT}")
    result = tmp_path / "results.json"
    said: list[str] = []
    how = {"rehearse": True, "seconds": 60.0, "commit": "abc", "say": said.append}
    assert parts.run("kernels", result, tmp_path, **how) == status, said
    part = load(result)["parts"]["kernels"]
    assert part["error"] == error and part["found"]["before"] == 1 and part["commit"] == "abc"
    assert (status == "done") == (not said)


def test_one_that_hangs_is_ended_with_all_that_it_has_started(monkeypatch):
    """It does not end when it is asked to, and neither does its child."""
    monkeypatch.setattr(parts, "_GRACE", 0.2)
    stubborn = "trap '' TERM; sleep 60 & echo $!; wait; sleep 60"
    child = subprocess.Popen(["sh", "-c", stubborn], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    number = int(child.stdout.readline())
    assert parts._wait(child, 0.2) is True
    parts._end(child)
    child.stdout.close()
    state = Path(f"/proc/{number}/stat")
    for _ in range(100):
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("its child goes on")


def test_one_that_takes_too_long_is_out_of_time(tmp_path):
    said: list[str] = []
    how = {"rehearse": True, "seconds": 0.01, "commit": None, "say": said.append}
    assert parts.run("memory", tmp_path / "results.json", tmp_path, **how) == "out of time"
    assert load(tmp_path / "results.json")["parts"]["memory"]["error"] == "it took longer than 0 s"
