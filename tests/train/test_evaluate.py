"""Every clip at every yaw, and swaps that really swap."""

import json

import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

import train.cli
from train.evaluate import evaluate_spatial, other_recordings, turn
from train.recipe import Recipe
from train.run import train as run_recipe


@pytest.fixture(scope="module")
def run(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    run_recipe(
        Recipe.model_validate({
            "data": {"path": str(shards), "batch_size": 4, "frames": 2, "size": [32, 64], "pairs": ["front"]},
            "model": {"sound_width": 2, "sound_pool_time": 16, "video_width": 2, "azimuths": 8, "head_channels": 4},
            "optim": {"epochs": 1},
            "run": str(folder),
            "device": "cpu",
            "compute_threads": 1,
        })
    )  # fmt: skip
    return folder


def test_turning_follows_the_convention():
    picture = torch.arange(16.0).reshape(1, 1, 16)
    for k in range(4):
        assert turn(picture, k, 4)[0, 0].tolist() == [(x + 16 * k // 4) % 16 for x in range(16)]


def test_partners_are_of_other_recordings():
    recordings = [5, 5, 5, 9, 9, 2]
    partners = other_recordings(recordings, 50, seed=0)
    assert partners.shape == (6, 50)
    for clip, row in enumerate(partners.tolist()):
        assert all(recordings[other] != recordings[clip] for other in row)
    assert set(partners[0].tolist()) == {3, 4, 5}
    assert torch.equal(partners, other_recordings(recordings, 50, seed=0))
    assert other_recordings([1, 1], 4, seed=0).shape == (2, 0)


def test_every_clip_counts_once_per_yaw(run):
    result = evaluate_spatial(run)
    assert (result.clips, result.yaw_classes, result.step, result.split) == (8, 4, 3, "val")
    assert [sum(row) for row in result.confusion] == [8, 8, 8, 8]
    right = sum(result.confusion[k][k] for k in range(4))
    assert result.accuracy == pytest.approx(right / 32)
    assert len(result.recordings) == 2
    assert sum(result.recordings.values()) / 2 == pytest.approx(result.accuracy)
    assert 0 <= result.accuracy_without_sound <= 1
    assert 0 <= result.accuracy_without_video <= 1


def test_the_batch_size_changes_nothing(run):
    one, two = evaluate_spatial(run, batch_size=3), evaluate_spatial(run, batch_size=8)
    assert (one.accuracy, one.confusion, one.accuracy_without_sound) == (two.accuracy, two.confusion, two.accuracy_without_sound)


def test_the_correlation_head_answers_turned_pictures_with_turned_classes(run):
    """So row k of the confusion matrix is row 0 rolled by k: turning by one class more is answered by one class more."""
    rows = evaluate_spatial(run).confusion
    for k in range(1, 4):
        assert rows[k] == rows[0][-k:] + rows[0][:-k]


def test_an_unknown_split_is_named(run):
    with pytest.raises(ValueError, match="split='test'"):
        evaluate_spatial(run, split="test")


def command_line() -> typer.Typer:
    app = typer.Typer()
    train.cli.register(app)
    return app


def test_evaluate_prints_json(run):
    done = CliRunner().invoke(command_line(), ["evaluate", str(run), "--json", "-"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == evaluate_spatial(run).as_dict()


def test_evaluate_writes_json_and_says_the_result(run, tmp_path):
    done = CliRunner().invoke(command_line(), ["evaluate", str(run), "--json", str(tmp_path / "r.json")])
    assert json.loads((tmp_path / "r.json").read_text())["task"] == "spatial"
    assert "8 clips at 4 yaws: accuracy" in done.stdout


def test_an_unknown_task_lists_those_there_are(run):
    done = CliRunner().invoke(command_line(), ["evaluate", str(run), "--task", "spatail"])
    assert str(done.exception) == "--task 'spatail' is not known; allowed: spatial, sp, s3r, vr, knn, voc07"


def test_train_from_the_command_line(settings, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(settings))
    done = CliRunner().invoke(command_line(), ["train", str(path), "optim.epochs=null", "optim.steps=1"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run" / "checkpoint.pt").exists()
