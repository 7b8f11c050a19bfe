"""Counts of a test run, from pytest's own report of real tests."""

import subprocess
import sys

from benchmarks.gpu.suite import summary

TESTS = """
import pytest
def test_good(): pass
def test_bad(): assert 1 == 2
@pytest.mark.skip
def test_left(): pass
@pytest.fixture
def broken(): raise RuntimeError("no device\\nmore")
def test_error(broken): pass
"""


def test_every_outcome_is_counted(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=out.xml"]
    subprocess.run(command, cwd=tmp_path, capture_output=True)
    found = summary(tmp_path / "out.xml")
    assert {name: found[name] for name in ("tests", "passed", "failed", "skipped")} == {
        "tests": 4,
        "passed": 1,
        "failed": 2,
        "skipped": 1,
    }
    assert any("assert 1 == 2" in words for words in found["failures"].values())
