"""Every bar has a line, and what was not measured is not called met."""

import pytest

from benchmarks.gpu.ledger import plain
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


def test_bars_of_the_kernels():
    rotate = {"cases": [{"size": "equal", "dtype": "float16", "share_of_copy": 0.71, "times_torch": 9.0, "times_dali": None}]}
    ours = {"name": "ours", "kind": "log", "ms": 2.0, "share_of_bound": 0.69, "difference": 1e-6}
    other = {"name": "torch.stft", "kind": "log", "ms": 7.0, "share_of_bound": 0.2, "difference": 1e-6}
    case = {"clips": 64, "pairs": 4, "bare_cufft_ms": 1.0, "contenders": [ours, other]}
    stft = {"cases": [case, case | {"bare_cufft_ms": None, "bare_cufft_error": "no cufft"}]}
    found = only("kernels", {"rotate": rotate, "stft": stft})
    assert [line.verdict for line in found] == [MET, NOT, UNKNOWN]
    assert "torch takes 9.0×" in found[0].found and "torch.stft takes 3.5×" in found[1].found and "no cufft" in found[2].found


def test_the_kernels_own_benches_are_understood():
    """What they really give, not what is thought of them."""
    from torch import device

    from benchmarks.gpu import rotate, stft

    given = {
        name: plain(bench.measure(device("cpu"), rounds=1, small=True)) for name, bench in (("rotate", rotate), ("stft", stft))
    }
    found = only("kernels", given)
    assert sum("rotate" in line.asked and line.verdict != UNKNOWN for line in found) == len(given["rotate"]["cases"])
    spectrograms = [line for line in found if "stft" in line.asked]
    assert len(spectrograms) == 4 * len(given["stft"]["cases"])  # kinds
    assert all("bare cuFFT" in line.found for line in spectrograms)
