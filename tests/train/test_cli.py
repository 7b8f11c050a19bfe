"""`sonosphere evaluate`: the line, the JSON, and errors in one sentence."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import train.cli
from tests.train.downstream.conftest import judged, judging, run, scenes  # noqa: F401 (fixtures)

ROOT = Path(__file__).parents[2]


def evaluate(*arguments: object):
    app = typer.Typer()
    train.cli.register(app)
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def said(*arguments: object) -> str:
    """The error of a command that fails: one sentence."""
    done = evaluate(*arguments)
    assert isinstance(done.exception, ValueError | OSError), done.output
    assert "\n" not in str(done.exception)
    return str(done.exception)


def test_a_head_is_trained_once_and_the_figures_are_told(run, tmp_path):  # noqa: F811
    done = evaluate(run, "--task", "sp", "--json", tmp_path / "sp.json")
    assert done.exit_code == 0, done.output
    assert "sp on 8 clips of 'val': miou_foreground " in done.stdout
    assert f"(more is better); picture: {run / 'sp' / 'figure.png'}" in done.stdout
    found = json.loads((tmp_path / "sp.json").read_text())
    assert (found["task"], found["encoder"], found["steps"]) == ("sp", str(run), 2)
    again = evaluate(run, "--task", "sp", "--json", "-")
    assert json.loads(again.stdout) == found


def test_settings_and_a_new_encoder(run):  # noqa: F811
    done = evaluate(run, "--task", "vr", "--supervised", "downstream.optim.steps=1", "--json", "-")
    found = json.loads(done.stdout)
    assert (found["encoder"], found["steps"]) == ("supervised", 1)
    assert (run / "vr-supervised" / "figure.png").exists()
    assert not (run / "vr").exists()


def test_other_shards_by_data(run, tmp_path, judged):  # noqa: F811
    shutil.copytree(judged, tmp_path / "elsewhere: shards")
    done = evaluate(run, "--task", "vr", "--data", tmp_path / "elsewhere: shards", "--json", "-")
    assert json.loads(done.stdout)["data"] == str(tmp_path / "elsewhere: shards")


def test_errors_are_sentences(run, tmp_path):  # noqa: F811
    assert said(run, "--task", "ps") == "--task 'ps' is not known; allowed: spatial, sp, s3r, vr, knn, voc07"
    assert said(tmp_path, "--task", "sp").startswith(f"{tmp_path} is no run folder")
    assert "unknown key 'downstream.widht'" in said(run, "--task", "sp", "downstream.widht=3")
    assert (
        said(run, "--supervised") == "--supervised is for --task sp, s3r or vr: spatial evaluates the run's own heads as they are"
    )
    assert "split='tset'" in said(run, "--task", "sp", "--split", "tset")
    (run / "encoder.pt").unlink()
    assert "holds no encoder.pt, so its training has not ended" in said(run, "--task", "sp")


def test_help_says_what_each_evaluation_is():
    text = " ".join(evaluate("--help").stdout.replace("│", " ").split())
    for words in ("semantic prediction", "spatial sound super resolution", "video retrieval", "torchrun"):
        assert words in text


def test_several_processes_come_to_the_same_and_the_first_one_talks(run, tmp_path):  # noqa: F811
    alone = json.loads(evaluate(run, "--task", "s3r", "--json", "-").stdout)
    (run / "s3r" / "figure.png").unlink()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "sonosphere"]
    command += ["evaluate", str(run), "--task", "s3r", "--json", str(tmp_path / "two.json")]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    two = json.loads((tmp_path / "two.json").read_text())
    assert done.stdout.count("s3r on 8 clips") == 1
    assert (run / "s3r" / "figure.png").exists()
    assert {name: value for name, value in two.items() if isinstance(value, float)} == pytest.approx(
        {name: value for name, value in alone.items() if isinstance(value, float)}, rel=1e-6
    )
