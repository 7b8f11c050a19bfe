"""The model card says what the run folder records, shows how to load the files by code that runs, and names no path."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml

from models.encoders import build
from models.image import ImageEncoder
from tests.train.exchange.conftest import KINDS, recipe
from train.checkpoint import save_checkpoint
from train.encoder_file import save_encoder
from train.exchange import export, import_encoder
from train.exchange.facts import changed, printed, read_facts
from train.recipe_file import dump_recipe

FORMS = ("torchvision", "safetensors", "moco")


def card_of(run: Path, form: str = "safetensors") -> str:
    return export(run, run.with_name("out"), form, force=True).files[1].read_text()


def head(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_what_it_says(moco, tmp_path):
    run = tmp_path / "run"
    environment = {"commit": "abc123", "packages": {"torch": "2.11.0"}, "gpu": "NVIDIA H100", "python": "/usr/bin/python3"}
    (run / "environment.json").write_text(json.dumps(environment))
    (run / "knn").mkdir()
    found = {"task": "knn", "data": "/mnt/nobody/shapes", "split": "val", "accuracy": 0.8125, "classes": [1, 2], "no": None}
    (run / "knn/result.json").write_text(json.dumps(found))
    card = card_of(run)
    assert head(card) == {
        "library_name": "timm",
        "tags": ["self-supervised-learning", "pictures", "resnet18", "moco"],
        "dataset_fingerprints": ["0123abcd"],
    }
    for line in (
        "# moco, resnet18",
        "| the run | 18 | 18 | 24 | shapes `0123abcd` |",
        "| `contrast.queue` | `24` |",
        "| `optim.epochs` | `3` |",
        "| `data.path` | `shapes` |",
        "- commit: abc123",
        "- packages: torch 2.11.0",
        "- gpu: NVIDIA H100",
        "- python: python3",
        "| training, last step | the run | loss | 1.2 |",
        r"| validation, last | the run | knn | 0.4375 |",
        "| evaluation knn | shapes, val | accuracy | 0.8125 |",
        "- Evaluations of Sonosphere without a result in the run folder: voc07, coco.",
    ):
        assert line in card.splitlines(), line
    assert "| `contrast.momentum`" not in card, "that is the default"
    whole = re.search(r"```yaml\n(.*?)```", card, re.DOTALL)
    assert yaml.safe_load(whole[1])["contrast"]["momentum"] == 0.999
    assert not re.search(r"/mnt|/usr|secret|nobody|/tmp|run/", card)
    assert str(tmp_path) not in card


def test_what_is_not_recorded_is_said(moco, tmp_path):
    card = card_of(tmp_path / "run")
    assert "- commit: not recorded" in card and "- packages: not recorded" in card
    for name in ("metrics.jsonl", "validation.jsonl", "recipe.yaml", "checkpoint.pt"):
        (tmp_path / "run" / name).unlink()
    card = card_of(tmp_path / "run")
    assert "The run folder holds no recipe: not recorded." in card and "Nothing that is recorded." in card


@pytest.mark.parametrize("kind", ["run", "imported"])
def test_the_code_in_it_runs(moco, tmp_path, monkeypatch, kind):
    out = tmp_path / "out"
    for form in FORMS:
        export(tmp_path / "run", out, form)
    if kind == "imported":
        out = tmp_path / "in"
        import_encoder(tmp_path / "out/resnet18.pth", out)
    blocks = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == {"run": 7, "imported": 1}[kind]
    monkeypatch.chdir(out)
    weight = moco.encoder.trunk.layer2[0].conv1.weight
    for block in blocks:
        found: dict = {}
        exec(compile(block, "card", "exec"), found)
        model = found["encoder"].trunk if "encoder" in found else found["model"]
        assert torch.equal(model.layer2[0].conv1.weight, weight), block
        assert tuple(found.get("features", torch.zeros(1, 512, 7, 7)).shape) == (1, 512, 7, 7)


def test_an_imported_encoder_says_whence(moco, tmp_path):
    path = export(tmp_path / "run", tmp_path / "out", "moco").files[0]
    import_encoder(path, tmp_path / "in")
    for card in ((tmp_path / "in/README.md").read_text(), card_of(tmp_path / "in")):
        assert head(card)["tags"] == ["self-supervised-learning", "pictures", "resnet18"]
        assert "imported from a file named `moco_resnet18.pth.tar` (SHA-256 `" in card
        assert "the query encoder of a MoCo checkpoint after 3 epochs, resnet18" in card
        assert str(tmp_path) not in card


def test_a_run_of_several_stages(tmp_path):
    run = tmp_path / "several"
    run.mkdir()
    settings = recipe(run)
    method = settings.method.model_copy(update={"name": "incremental", "tasks": ("moco", "densecl")})
    (run / "recipe.yaml").write_text(dump_recipe(settings.model_copy(update={"method": method})))
    save_encoder(run, ImageEncoder("resnet18"))
    for number, name in enumerate(("single-moco", "2-densecl", "sp")):
        (run / name).mkdir()
        loader = {"fingerprint": {"set": f"print{number}"}, "epoch": 0}
        save_checkpoint(run / name, {"model": {}, "step": 5, "total": 9, "loader": loader})
        (run / name / "metrics.jsonl").write_text('{"step": 5, "loss": 2.5}\n')
    card = card_of(run)
    assert "# incremental of moco and densecl, resnet18" in card
    assert head(card)["dataset_fingerprints"] == ["print1", "print0"], "by the names of the stages, and no evaluation among them"
    assert "| 2-densecl | 5 | 9 | not recorded | set `print1` |" in card
    assert "| training, last step | single-moco | loss | 2.5 |" in card


@pytest.mark.parametrize(
    ("description", "told"),
    [
        (KINDS[0], "An encoder of sound: from natural logarithms of power"),
        (KINDS[1], "ResNets side by side: from pictures"),
    ],
)
def test_encoders_of_other_kinds(tmp_path, description, told):
    encoder = build(description)
    (tmp_path / "run").mkdir()
    save_encoder(tmp_path / "run", encoder)
    card = card_of(tmp_path / "run")
    assert told in card and head(card)["library_name"] == "sonosphere"
    assert f"(B, {encoder.out_channels}, " in card


def test_what_others_wrote_is_no_markdown(moco, tmp_path):
    run = tmp_path / "run"
    hostile = "```\n<script>alert(1)</script> | [x](javascript:y)\n# heading"
    (run / "environment.json").write_text(json.dumps({"commit": hostile, "``` `": hostile}))
    (run / "`evil`").mkdir()
    (run / "`evil`/result.json").write_text(json.dumps({"<b>|": 1.0, "data": hostile, "split": hostile}))
    settings = recipe(run).model_dump(mode="json")
    settings["data"]["path"] = hostile.replace("/", "")
    (run / "recipe.yaml").write_text(yaml.safe_dump(settings))
    card = card_of(run)
    outside = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$|`[^`\n]+`", "", card)
    assert "<script" not in outside.replace("\\<", "").replace("<details><summary>", "")
    assert not re.search(r"(?m)^# heading", outside)
    rows = [re.findall(r"(?<!\\)\|", line) for line in outside.splitlines() if line.startswith("| evaluation")]
    assert [len(row) for row in rows] == [5]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("environment.json", "{", "environment.json is not JSON"),
        ("environment.json", "[1]", "environment.json should hold names and values; it holds list"),
        ("metrics.jsonl", "{\n{}\n", "metrics.jsonl is no readable log"),
        ("recipe.yaml", "optim: {steps: 1}\nextra: 1\n", "unknown key 'extra'"),
    ],
)
def test_damaged_facts(moco, tmp_path, name, content, told):
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(ValueError, match=told):
        card_of(tmp_path / "run")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("/home/alice/my sets/x", "x"),
        ("s3://key:secret@bucket/set/?token=1", "set"),
        ("C:\\Users\\alice\\x", "x"),
        ("~/x", "x"),
        ("python=/usr/bin/python3", "python3"),
        ("n/a", "n/a"),
        ("Intel(R) Xeon(R) @ 2.20GHz", "Intel(R) Xeon(R) @ 2.20GHz"),
        (0.1 + 0.2, "0.3"),
        ({"torch": "2", "of": [1, 2]}, "torch 2, of 1, 2"),
    ],
)
def test_facts_without_places(value, text):
    assert printed(value) == text


def test_settings_that_differ(moco, tmp_path):
    settings = recipe(tmp_path / "a/b", temperature=0.2)
    found = changed(settings)
    assert found["run"] == "b" and found["data.path"] == "shapes" and found["optim.epochs"] == 3
    assert "contrast.temperature" not in found and "optim.steps" not in found
    assert read_facts(tmp_path / "run").stages[0].fingerprints == {"shapes": "0123abcd"}
