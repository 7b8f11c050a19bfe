"""What was measured stays written, and several calls become one."""

import json

import pytest

from benchmarks.gpu.ledger import Ledger, file_name, load, merged, plain


def test_every_figure_is_on_disk_at_once(tmp_path):
    ledger = Ledger(tmp_path / "results.json")
    ledger.head(device="X", rehearsal=False)
    ledger.begin("loader", shows="pace")
    ledger.note("loader", "rate", {"median": 1 / 3, "pair": ("front",)})
    assert load(ledger.path)["parts"]["loader"] == {
        "status": "running",
        "found": {"rate": {"median": 0.33333, "pair": ["front"]}},
        "error": None,
        "shows": "pace",
    }
    ledger.set("loader", status="done")
    ledger.begin("loader")  # anew: what an earlier run has found is not mixed with it
    assert load(ledger.path)["parts"]["loader"]["found"] == {}
    assert load(ledger.path)["device"] == "X"


def test_calls_are_merged_and_less_does_not_replace_more():
    def call(device="X", rehearsal=False, **parts):
        return {"device": device, "rehearsal": rehearsal, "parts": {name: {"status": status} for name, status in parts.items()}}

    whole = merged([call(tests="done", kernels="failed"), call(kernels="died", loader="done"), call(tests="running")])
    assert {name: part["status"] for name, part in whole["parts"].items()} == {"tests": "done", "kernels": "died", "loader": "done"}
    with pytest.raises(ValueError, match="only of one device; these are of X, Y"):
        merged([call(), call(device="Y")])
    with pytest.raises(ValueError, match=r"X, X \(rehearsal\)"):
        merged([call(), call(rehearsal=True)])


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "other.json"
    for text, words in (("[1", "not valid JSON"), ("[]", "holds no results"), ('{"parts": 3}', "holds no results")):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            load(path)


def test_json_is_json_whatever_was_measured():
    assert json.loads(json.dumps(plain({"a": float("nan"), 1: [float("inf"), 2, True, None, object]}), allow_nan=False)) == {
        "a": None,
        "1": [None, 2, True, None, str(object)],
    }


def test_names_of_devices_become_names_of_files():
    assert file_name("NVIDIA H100 80GB HBM3", False) == "nvidia-h100-80gb-hbm3.json"
    assert file_name("CPU", True) == "rehearsal-cpu.json"
