"""The table: its arithmetic by hand, its order, and a very small one from scenes to pictures, stopped and gone on with."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ssl.bench import Table, chosen, make_table
from benchmarks.ssl.job import RESULT
from benchmarks.ssl.pictures import _apart
from benchmarks.ssl.rows import COMBINES, rows
from benchmarks.ssl.table import beats_random, markdown, summary
from train.environment import machine


def result(row: str, seed: int, sp: float, s3r: float, vr: float) -> dict:
    return {
        "row": row, "seed": seed,
        "sp": {"miou_foreground": sp}, "s3r": {"stft_distance": s3r}, "vr": {"recall_at_10": vr},
    }  # fmt: skip


def test_mean_and_spread_by_hand():
    table = summary([result("gap", 0, 0.4, 3.0, 50), result("gap", 1, 0.6, 3.0, 70), result("random", 0, 0.1, 2.0, 5)])
    assert table["gap"]["sp"]["mean"] == pytest.approx(0.5)
    assert table["gap"]["sp"]["spread"] == pytest.approx(0.2 / 2**0.5)
    assert table["gap"]["s3r"]["spread"] == 0 and table["random"]["vr"]["spread"] == 0
    assert table["gap"]["vr"]["values"] == [50, 70]


def test_better_means_by_more_than_both_spreads_and_in_the_right_direction():
    better = [
        result("gap", 0, 0.5, 1.0, 50),
        result("gap", 1, 0.6, 1.2, 50),
        result("random", 0, 0.3, 1.5, 50),
        result("random", 1, 0.4, 1.7, 50),
    ]
    table = summary(better)
    assert beats_random(table, "gap", "sp")  # 0.2 apart, spreads 0.0707 each
    assert beats_random(table, "gap", "s3r")  # less is better there
    assert not beats_random(table, "gap", "vr")
    near = summary([result("gap", 0, 0.4, 1, 50), result("gap", 1, 0.6, 1, 50), *better[2:]])
    assert not beats_random(near, "gap", "sp")  # 0.15 apart, spreads 0.141 and 0.071
    text = markdown(table, {"gap": "C", "random": "random"})
    assert "**55.0 ± 7.1**" in text and "| random | 35.0 ± 7.1 |" in text


def test_rows_come_after_those_they_need_and_bring_them_along():
    seen: set[str] = set()
    for row in rows():
        assert set(row.needs) <= seen
        seen.add(row.name)
    assert [row.name for row in chosen(("incremental", "random"))] == ["spatial", "motion", "gap", "random", "incremental"]
    assert set(COMBINES) <= seen
    with pytest.raises(ValueError, match="rows=gaps is not known; allowed: all, spatial"):
        chosen(("gaps",))


@given(st.lists(st.floats(0, 1), max_size=12))
def test_names_beside_the_trade_off_stay_near_and_do_not_overlap(heights: list[float]):
    wanted = sorted(heights)
    placed = _apart(wanted, 0.05)
    assert all(b - a > 0.05 - 1e-9 for a, b in zip(placed, placed[1:], strict=False))
    assert sum(placed) == pytest.approx(sum(wanted))
    if all(b - a > 0.05 for a, b in zip(wanted, wanted[1:], strict=False)):
        assert placed == pytest.approx(wanted)


def test_a_small_table_from_scenes_to_pictures_goes_on_where_it_was(tmp_path: Path):
    small = (
        "optim.epochs=null", "optim.steps=2", "downstream.optim.epochs=null", "downstream.optim.steps=2", "downstream.epochs={}",
        "data.batch_size=4", "model.sound_width=2", "model.video_width=2", "downstream.splits={}", "downstream.width=8",
    )  # fmt: skip
    table = Table(tmp_path, recordings=6, seeds=1, rows=("gap", "random"), workers=1, settings=small)
    said: list[str] = []
    report = make_table(table, said.append)
    assert set(report["table"]) == {"gap", "random"} and len(report["results"]) == 2
    assert set(report["beats_random"]) == {"gap"}
    here = machine()["commit"]
    assert report["commits"] == {row: [here] if here else [] for row in ("gap", "random")}
    assert json.loads((tmp_path / "ssl.json").read_text())["table"] == report["table"]
    assert (tmp_path / "trade-off.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "table.md").read_text().count("\n") == 4
    noted = next((tmp_path / "seed-0" / "gap").rglob("environment.json"))
    noted.write_text(json.dumps({"commits": ["0123abc"]}))
    (tmp_path / "seed-0" / "gap" / RESULT).unlink()  # as if it had been stopped before that was written
    again = make_table(table, said.append)
    assert again["table"] == report["table"]
    assert "0123abc" in again["commits"]["gap"] and "0123abc" not in again["commits"]["random"]
