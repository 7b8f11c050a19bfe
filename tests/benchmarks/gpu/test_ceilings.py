"""The decoders alone, on the CPU: they decode every batch that they are asked for, and settings that fail do not end the run."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu import ceilings, material
from benchmarks.gpu.task import Task


@pytest.fixture
def task(tmp_path: Path) -> Task:
    until = time.monotonic() + 60
    return Task(torch.device("cpu"), True, until, tmp_path, lambda name, value: None, lambda text: None)


def test_batches_come_one_a_call_and_none_is_left_behind(task):
    jpegs = [np.frombuffer(material._jpeg(np.full((16, 32, 3), level, np.uint8)), np.uint8) for level in (10, 200)]
    found = ceilings.jpegs(task, jpegs, 0.05)
    assert list(found.tried) == [found.settings] and found.tried[found.settings] > 0
    for _ in range(5):
        found.run()
    found.run.close()


def test_what_cannot_be_decoded_is_an_error(task):
    with pytest.raises(RuntimeError):
        ceilings.jpegs(task, [np.zeros(64, np.uint8)], 0.05)


def test_settings_that_fail_are_passed_over(task):
    jpegs = [np.frombuffer(material._jpeg(np.zeros((16, 32, 3), np.uint8)), np.uint8)]

    def refused() -> None:
        raise RuntimeError("no such engine")

    good = lambda: ceilings._jpegs("cpu", {}, **ceilings._sizes(task, 1, 1))  # noqa: E731
    found = ceilings._fastest(task, {"refused": refused, "good": good}, jpegs, 0.05)
    assert found.settings == "good" and set(found.tried) == {"good"}
    found.run.close()
