"""From annotations and an encoder to figures: trained, interrupted, gone on with, judged again, and not mistaken for others."""

import json
import os
import signal

import pytest
import torch
from PIL import Image

from models.encoders import ConcatenatedEncoder
from models.image import ImageEncoder
from tests.train.downstream.detection.tiny_coco import settings_of, write_tiny_coco
from train.checkpoint import load_checkpoint
from train.downstream.detection import judge
from train.downstream.detection.run import detect
from train.downstream.detection.settings import Detection
from train.log import RunLog, read_log

TIMES = ("data_seconds", "step_seconds")


def changed(settings: Detection, section: str | None = None, **values) -> Detection:
    if section:
        return settings.model_copy(update={section: getattr(settings, section).model_copy(update=values)})
    return settings.model_copy(update=values)


def losses(settings: Detection) -> list[dict]:
    return [{key: value for key, value in line.items() if key not in TIMES} for line in read_log(settings.run)]


def stop_at(step: int, monkeypatch) -> None:
    """Send ourselves a signal as this step ends."""
    note = RunLog.note

    def noted(self, at, *args, **kwargs):
        if at == step:
            os.kill(os.getpid(), signal.SIGTERM)
        note(self, at, *args, **kwargs)

    monkeypatch.setattr(RunLog, "note", noted)


def test_a_result_its_picture_and_the_same_again(settings, encoder, capsys):
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    found, code = detect(settings, encoder)
    assert (code, found["task"], found["steps"], found["pictures"], found["joint_batch"]) == (0, "coco", 3, 5, 2)
    assert found["start"].startswith("an encoder ")
    for kind in ("box", "mask"):
        assert all(0 <= found[f"{kind}_{name}"] <= 1 for name in ("ap", "ap50", "ap75", "ap_small"))
    assert json.loads((settings.run / "result.json").read_text()) == found
    with Image.open(settings.run / "figure.png") as picture:
        assert picture.width == 1320
    assert [line["step"] for line in read_log(settings.run)] == [1, 2, 3]
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert capsys.readouterr().out == ""

    written = (settings.run / "metrics.jsonl").read_bytes(), (settings.run / "figure.png").read_bytes()
    assert detect(settings, encoder) == (found, 0)
    assert ((settings.run / "metrics.jsonl").read_bytes(), (settings.run / "figure.png").read_bytes()) == written

    with pytest.raises(ValueError, match=r"run holds a training from an encoder \w+, not from a random backbone; remove it"):
        detect(settings)
    with pytest.raises(ValueError, match="holds a training from an encoder"):
        detect(settings, ImageEncoder("resnet18"))
    with pytest.raises(ValueError, match=r"run holds a training of another recipe \(optim\.lr: 0\.02 there, 0\.5 here\)"):
        detect(changed(settings, "optim", lr=0.5), encoder)


def test_interrupted_and_resumed_is_bit_identical(settings, tmp_path, monkeypatch):
    settings = changed(changed(settings, "optim", steps=5), checkpoint_every=2, log_every=3)
    straight, broken = (changed(settings, run=tmp_path / name) for name in ("straight", "broken"))
    expected, _ = detect(straight)
    for at in (1, 3):
        with monkeypatch.context() as patch:
            stop_at(at, patch)
            assert detect(broken) == (None, 143)
        assert load_checkpoint(broken.run)["step"] == at
        assert not (broken.run / "result.json").exists()
    assert detect(changed(broken, "data", threads=1)) == (expected, 0)
    assert losses(broken) == losses(straight)
    one, two = load_checkpoint(straight.run), load_checkpoint(broken.run)
    assert (one["step"], one["seen"], one["data"]) == (two["step"], two["seen"], two["data"]) == (5, 10, one["data"])
    assert all(torch.equal(value, two["model"][name]) for name, value in one["model"].items())
    momentum = [state["optimizer"]["state"] for state in (one, two)]
    assert len(momentum[0]) > 60
    assert all(torch.equal(momentum[0][i]["momentum_buffer"], momentum[1][i]["momentum_buffer"]) for i in momentum[0])


def test_other_annotations_are_not_taken_for_these(settings, tmp_path):
    detect(changed(settings, "optim", steps=1))
    other = write_tiny_coco(tmp_path / "other", seed=1)
    there = changed(settings, "data", train=other / "instances_train.json", train_pictures=other / "images")
    with pytest.raises(ValueError, match=r"run holds a training on other annotations than those of .*other/instances_train\.json"):
        detect(changed(there, "optim", steps=1))


def test_interrupted_while_it_is_judged(settings, monkeypatch):
    """The training is done and stays; the same command judges it."""
    settings = changed(settings, "optim", steps=1)
    as_results = judge.as_results

    def signalled(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return as_results(*args)

    with monkeypatch.context() as patch:
        patch.setattr(judge, "as_results", signalled)
        assert detect(settings) == (None, 130)
    assert load_checkpoint(settings.run)["step"] == 1 and not (settings.run / "result.json").exists()
    found, code = detect(settings)
    assert code == 0 and found["pictures"] == 5


def test_an_encoder_that_is_no_resnet(settings, encoder):
    with pytest.raises(ValueError, match="an encoder of kind='concatenated' cannot carry a detector"):
        detect(settings, ConcatenatedEncoder([encoder, encoder]))


def test_half_precision_and_several_sizes_and_clipping(tiny, tmp_path):
    more = {"data": {"min_size": [48, 64]}, "optim": {"grad_clip": 1.0, "steps": 2}, "precision": "bf16"}
    found, code = detect(Detection.model_validate(settings_of(tiny, tmp_path / "run", **more)))
    assert code == 0 and found["box_ap"] is not None
    assert len(read_log(tmp_path / "run")) == 2


def test_a_loss_that_is_not_finite_stops_with_the_step(settings):
    settings = changed(settings, "optim", lr=1e20, steps=8, warmup_steps=0)
    with pytest.raises(RuntimeError, match=r"the loss is (nan|inf) at step \d"):
        detect(changed(settings, checkpoint_every=1))
    assert load_checkpoint(settings.run)["step"] >= 1


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ({"train": "none.json"}, FileNotFoundError, r"none\.json is not there"),
        ({"val": "none.json"}, FileNotFoundError, r"none\.json is not there"),
        ({"train_pictures": "none"}, FileNotFoundError, "none is not there: it should be a folder of pictures"),
        ({"val_pictures": "empty"}, FileNotFoundError, r"empty/val-001001\.png is not there, but the annotations name it"),
        ({"train_pictures": "empty"}, FileNotFoundError, r"empty/train-000001\.png is not there"),
    ],
)
def test_files_that_are_missing_are_told_before_anything_is_made(tiny, tmp_path, what, error, message):
    (tmp_path / "empty").mkdir()
    settings = Detection.model_validate(settings_of(tiny, tmp_path / "run", data={k: str(tmp_path / v) for k, v in what.items()}))
    with pytest.raises(error, match=message):
        detect(settings)
    assert not (tmp_path / "run").exists()


def test_categories_must_agree(tiny, settings, tmp_path):
    dataset = json.loads((tiny / "instances_val.json").read_text())
    dataset["categories"].append({"id": 99, "name": "more"})
    (tmp_path / "val.json").write_text(json.dumps(dataset))
    with pytest.raises(ValueError, match="have different categories"):
        detect(changed(settings, "data", val=tmp_path / "val.json"))


def test_a_picture_that_breaks_stops_with_its_name(tmp_path):
    folder = write_tiny_coco(tmp_path / "coco")
    for path in folder.glob("images/train-*.png"):
        path.write_bytes(path.read_bytes()[:300])
    settings = Detection.model_validate(settings_of(folder, tmp_path / "run"))
    with pytest.raises(ValueError, match=r"train-00000\d\.png is no readable JPEG or PNG"):
        detect(settings)
