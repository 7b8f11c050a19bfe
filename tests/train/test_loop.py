"""The loop on real shards: resume is bit-identical, and what goes wrong is said in one sentence."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
import yaml

from train.checkpoint import load_checkpoint
from train.log import VALIDATION, RunLog, read_log
from train.recipe import Recipe
from train.recipe_file import load_recipe
from train.run import train
from train.run_folder import read_run, saved_run
from train.world import World

ALONE = World(0, 1, torch.device("cpu"))


def with_settings(settings: dict, **changes) -> Recipe:
    """The recipe of these settings with changes, `optim__steps=3` for a key of a section."""
    changed = {key: dict(value) if isinstance(value, dict) else value for key, value in settings.items()}
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        (changed[section] if section else changed)[name] = value
    return Recipe.model_validate(changed)


def losses(recipe: Recipe) -> list[float]:
    return [line["loss"] for line in read_log(recipe.run)]


def test_a_whole_run_writes_what_it_promises(recipe):
    result = train(recipe)
    assert (result.step, result.total, result.exit_code) == (6, 6, 0)
    assert result.clips_per_second > 0
    assert result.loader_report["clips"] >= 24
    lines = read_log(recipe.run)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert set(lines[0]) == {"step", "loss", "accuracy", "lr", "data_seconds", "step_seconds"}
    assert [line["step"] for line in read_log(recipe.run, VALIDATION)] == [6]
    assert load_recipe(recipe.run / "recipe.yaml") == recipe
    assert list((recipe.run / "tensorboard").glob("events.*"))
    parts = {"model", "optimizer", "schedule", "scaler", "loader", "random"}
    assert set(saved := load_checkpoint(recipe.run)) == parts | {"step", "total", "joint", "clips"}
    assert (saved["joint"], saved["clips"]) == (4, 12)


def test_interrupted_and_resumed_losses_are_bit_identical(settings, tmp_path):
    """SIGTERM in the middle of the first epoch, at its end, and in the middle of the second; then the same recipe again."""
    straight = with_settings(settings, run=str(tmp_path / "straight"))
    train(straight)

    broken = with_settings(settings, run=str(tmp_path / "broken"))
    for at in (2, 3, 4):
        stop_at(at, lambda: train(broken), signal.SIGTERM, 143)
        assert load_checkpoint(broken.run)["step"] == at
    assert train(broken).step == 6

    assert losses(broken) == losses(straight)
    one, two = load_checkpoint(straight.run), load_checkpoint(broken.run)
    for name, weights in one["model"].items():
        assert torch.equal(weights, two["model"][name]), name
    assert one["loader"] == two["loader"]


def stop_at(step: int, run, number: int, exit_code: int) -> None:
    """Call `run`, sending ourselves a signal as step `step` ends."""
    original = RunLog.note

    def note(self, at, *args, **kwargs):
        if at == step:
            os.kill(os.getpid(), number)
        original(self, at, *args, **kwargs)

    RunLog.note = note
    try:
        assert run().exit_code == exit_code
    finally:
        RunLog.note = original


def test_ctrl_c_saves_and_returns_130(recipe, capsys):
    before = signal.getsignal(signal.SIGINT)
    stop_at(2, lambda: train(recipe), signal.SIGINT, 130)
    assert "stopped at step 2 of 6 and saved; the same command goes on from there" in " ".join(capsys.readouterr().err.split())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_finished_run_is_not_trained_again(recipe):
    train(recipe)
    written = (recipe.run / "metrics.jsonl").read_text()
    assert train(recipe).step == 6
    assert (recipe.run / "metrics.jsonl").read_text() == written


def test_lines_after_the_checkpoint_are_replaced(recipe):
    """A killed run has logged steps that its checkpoint does not know."""
    stop_at(2, lambda: train(recipe), signal.SIGTERM, 143)
    with (recipe.run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "loss": 99.0}\n{"step": 4, "lo')
    train(recipe)
    assert [line["step"] for line in read_log(recipe.run)] == [1, 2, 3, 4, 5, 6]
    assert 99.0 not in losses(recipe)


def test_a_folder_of_another_recipe_is_refused_and_left_alone(settings, recipe):
    train(recipe)
    before = (recipe.run / "recipe.yaml").read_text()
    with pytest.raises(
        ValueError, match=r"holds a run of another recipe \(optim\.lr: 0\.001 there, 0\.01 here\); choose another folder"
    ):
        train(with_settings(settings, optim__lr=0.01))
    assert (recipe.run / "recipe.yaml").read_text() == before


def test_an_epoch_without_a_step_is_an_error(settings):
    with pytest.raises(
        ValueError,
        match=r"has no step: its split 'train' of 12 clips does not fill one batch of data\.batch_size=13 on 1 process;",
    ):
        train(with_settings(settings, data__batch_size=13))


def test_a_loss_that_is_not_finite_names_its_step_and_is_not_saved(settings):
    recipe = with_settings(settings, optim__lr=1e30, optim__warmup_steps=0, checkpoint_every=1)
    with pytest.raises(RuntimeError, match=r"the loss is (nan|inf) at step [2-6] .*lower optim\.lr"):
        train(recipe)
    saved = load_checkpoint(recipe.run)
    assert saved is None or saved["step"] < 6


def test_missing_shards(settings, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train(with_settings(settings, data__path=str(tmp_path / "nowhere")))
    assert not (tmp_path / "run").exists()


def test_bf16_and_gradient_clipping_train(settings):
    recipe = with_settings(settings, precision="bf16", optim__grad_clip=0.1, optim__epochs=None, optim__steps=2)
    assert train(recipe).step == 2


def test_a_gpu_that_is_not_there(settings):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="device 'cuda' was asked for"):
        train(with_settings(settings, device="cuda"))


def test_run_folder_reads_back(recipe):
    with pytest.raises(FileNotFoundError, match="no run folder with a checkpoint"):
        read_run(recipe.run)
    assert saved_run(recipe) is None
    with pytest.raises(FileNotFoundError, match="no run folder with a checkpoint"):
        read_run(recipe.run)


def test_two_processes_agree(settings, tmp_path):
    """torchrun with gloo: one log, one checkpoint, and two batches a step."""
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings | {"data": settings["data"] | {"batch_size": 2}, "optim": {"steps": 2}}))
    code = f"from train.run import train; from train.recipe_file import load_recipe; print(train(load_recipe({str(path)!r})).step)"
    script = tmp_path / "main.py"
    script.write_text(code)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "2"]
    assert [line["step"] for line in read_log(tmp_path / "run")] == [1, 2]
    assert load_checkpoint(tmp_path / "run")["loader"]["position"] == 8


def test_torch_gets_its_threads_back(settings):
    before = torch.get_num_threads()
    train(with_settings(settings, compute_threads=before + 1, optim__epochs=None, optim__steps=1))
    assert torch.get_num_threads() == before


def test_corrupt_clips_do_not_stop_a_run_and_are_listed_in_its_folder(settings, tmp_path, capsys):
    from tests.tiny import flip

    shards = shutil.copytree(settings["data"]["path"], tmp_path / "broken")
    keys = {flip(shards, clip, "f000.jpg") for clip in (0, 7, 13)}
    settings["data"] |= {"path": str(shards), "corrupt": 1.0}
    result = train(Recipe.model_validate(settings))
    assert result.step == result.total == 6
    lines = [json.loads(line) for line in (result.run / "quarantine.jsonl").read_text().splitlines()]
    assert {line["key"] for line in lines} <= keys and lines
    assert "corrupt clips were replaced" in capsys.readouterr().err


def test_a_run_that_bears_no_damage_stops_and_says_where(settings, tmp_path):
    from dataio.stream.health import TooManyCorruptError
    from tests.tiny import flip

    shards = shutil.copytree(settings["data"]["path"], tmp_path / "broken")
    for clip in range(20):
        flip(shards, clip, "f000.jpg")
    settings["data"] |= {"path": str(shards)}
    with pytest.raises(TooManyCorruptError, match=r"quarantine\.jsonl lists them"):
        train(Recipe.model_validate(settings))


def test_headspace_and_trace(settings, capsys):
    settings["data"] |= {"headspace": 2, "trace": True}
    settings["optim"] |= {"epochs": 20}
    result = train(Recipe.model_validate(settings))
    assert result.step == 60
    assert "an infinitely fast loader would" in capsys.readouterr().err
    events = json.loads((result.run / "trace.json").read_text())
    assert {"read", "decode", "rotate", "spectrogram"} <= {event["name"] for event in events}
