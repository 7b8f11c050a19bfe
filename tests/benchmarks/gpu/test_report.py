"""Every bar has a line, and what was not measured is not called met."""

import pytest

from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.report import MET, NOT, UNKNOWN, lines, markdown

NOTHING = {"device": "X", "rehearsal": False, "machine": {}, "parts": {}}


def only(part: str, found: dict, **facts) -> list:
    return [
        line
        for line in lines({**NOTHING, "parts": {part: {"status": "done", "found": found} | facts}})
        if line.found != "this part was not run"
    ]


def test_nothing_measured_meets_nothing():
    found = lines(NOTHING)
    assert {line.verdict for line in found} == {UNKNOWN} and len(found) >= 20
    assert "0 met, 0 not met" in markdown(NOTHING)


def test_a_part_that_was_cut_off_says_so():
    (line,) = only("memory", {}, status="out of time", error="it took longer than 150 s")
    assert line.verdict == UNKNOWN and line.found == "it took longer than 150 s"


@pytest.mark.parametrize(("skipped", "verdict"), [(0, MET), (1, NOT)])
def test_a_skipped_test_has_shown_nothing(skipped, verdict):
    (line,) = only("tests", {"tests": 5, "passed": 5 - skipped, "failed": 0, "skipped": skipped})
    assert line.verdict == verdict
    (none,) = only("tests", {"tests": 0, "passed": 0, "failed": 0, "skipped": 0})
    assert none.verdict == NOT


def test_bars_of_the_loader():
    found = {
        "clips 1 pair": {"share": 0.91, "cores": 1.9, "loader": {"median": 300.0}},
        "ordinary 1 pair": {"clips_per_second": 100.0},
        "clips 4 pairs": {"share": 0.89, "cores": 2.1, "loader": {"median": 50.0}},
        "ordinary 4 pairs": {"clips_per_second": 100.0},
        "equal 1 pair": {"equal": False},
    }
    said = {line.asked: line.verdict for line in only("loader", found)}
    assert [said[name] for name in said if "1 pair" in name] == [NOT, MET, MET, MET]
    assert [said[name] for name in said if "4 pairs" in name] == [UNKNOWN, NOT, NOT, NOT]


def test_bars_of_training_and_memory():
    curves = {"deviation": 0.03, "allowed": 0.02}
    assert [line.verdict for line in only("training", {"wait": {"share": 0.019}, "curves": curves})] == [MET, NOT]
    level = {"allocated": {"grown": 0.0, "level": True}}
    for batches, quantities, verdict in (
        (10_000, level, MET),
        (9_000, level, UNKNOWN),
        (500, {"allocated": {"grown": 9.0, "level": False}}, NOT),
    ):
        (line,) = only("memory", {"memory": {"batches": batches, "wanted": 10_000, "quantities": quantities}})
        assert line.verdict == verdict


def test_a_cell_cannot_break_the_table():
    part = {"status": "failed", "error": "a | b\nc", "found": {}}
    text = markdown({**NOTHING, "parts": dict.fromkeys(PARTS, part)})
    assert "a \\| b c" in text and all(line.count(" | ") >= 2 for line in text.splitlines() if line.startswith("| "))
