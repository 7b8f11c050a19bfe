"""What a user does with an encoder of pictures: evaluate, export, import, detect; and three kinds of bad input for each."""

import json

import pytest
import torch
import torchvision
import typer
import yaml
from typer.testing import CliRunner

import train.cli
from tests.train.downstream.detection.tiny_coco import settings_of, write_tiny_coco
from tests.train.downstream.images.voc_set import write_voc
from train.encoder_file import load_encoder
from train.recipe import Recipe
from train.run import train as train_recipe


def command(*arguments: object):
    app = typer.Typer()
    train.cli.register(app)
    return CliRunner().invoke(app, list(map(str, arguments)))


def said(*arguments: object) -> str:
    """The error of a command that fails: one sentence."""
    done = command(*arguments)
    assert isinstance(done.exception, ValueError | OSError), done.output
    assert "\n" not in str(done.exception)
    return str(done.exception)


@pytest.fixture
def trained(pictures) -> Recipe:
    """A run of two steps of MoCo."""
    recipe = Recipe.model_validate(pictures | {"optim": {"lr": 0.01, "steps": 2}})
    train_recipe(recipe)
    return recipe


def test_knn_of_a_run_and_of_the_same_weights_imported(trained, stills, tmp_path):
    done = command("evaluate", trained.run, "--task", "knn", "--json", tmp_path / "knn.json")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "knn.json").read_text())
    assert f"knn on 'val': {100 * found['knn']:.1f} % of pictures are told by their 5 nearest neighbours" in done.stdout
    assert json.loads((trained.run / "knn" / "result.json").read_text()) == found
    (line,) = (json.loads(line) for line in (trained.run / "validation.jsonl").read_text().splitlines())
    assert found["knn"] == pytest.approx(line["knn"])

    out = tmp_path / "out"
    for form in ("torchvision", "safetensors", "moco"):
        done = command("export", trained.run, out, "--format", form)
        assert done.exit_code == 0 and "moco, resnet18" in done.stdout, done.output
    assert "moco" in (card := (out / "README.md").read_text()) and str(tmp_path) not in card
    state = torch.load(next(path for path in out.glob("*.pth") if "moco" not in path.name), weights_only=True)
    theirs = torchvision.models.resnet18()
    assert theirs.load_state_dict(state, strict=False).missing_keys == ["fc.weight", "fc.bias"]
    theirs.fc = torch.nn.Identity()
    given = torch.randn(2, 3, 64, 64)
    expected = load_encoder(trained.run)(given).mean((2, 3))
    assert torch.allclose(theirs.eval()(given), expected, rtol=1e-4)

    for number, file in enumerate(path for path in out.iterdir() if path.name != "README.md"):
        done = command("import", file, tmp_path / f"imported-{number}")
        assert done.exit_code == 0, done.output
        settings = ("views.size=32", "views.short=36", "neighbours.k=5", "neighbours.bank=24", "data.batch_size=8", "data.window=8")
        done = command(
            "evaluate", tmp_path / f"imported-{number}", *settings, "--task", "knn", "--data", stills, "--json", tmp_path / "again"
        )
        assert done.exit_code == 0, done.output
        assert json.loads((tmp_path / "again").read_text())["knn"] == found["knn"]
    assert number == 2


def test_voc07_of_a_run(trained, tmp_path):
    voc = write_voc(tmp_path / "voc")
    done = command("evaluate", trained.run, "--task", "voc07", "--data", voc, "--json", tmp_path / "voc.json")
    assert done.exit_code == 0 and done.stdout.startswith("voc07: mAP "), done.output
    found = json.loads((tmp_path / "voc.json").read_text())
    assert found["features"] == 4 * 512 and len(found["classes"]) == 20
    assert json.loads((trained.run / "voc07" / "result.json").read_text()) == found
    assert "evaluation voc07" in command_card(trained, tmp_path)


def command_card(trained: Recipe, tmp_path) -> str:
    """The model card of a run."""
    assert command("export", trained.run, tmp_path / "card").exit_code == 0
    return (tmp_path / "card" / "README.md").read_text()


def test_detection_from_a_run(trained, tmp_path):
    coco = write_tiny_coco(tmp_path / "coco")
    (path := tmp_path / "coco.yaml").write_text(yaml.safe_dump(settings_of(coco, tmp_path / "detector")))
    done = command("detect", path, "--encoder", trained.run, "--json", tmp_path / "found.json")
    assert done.exit_code == 0 and "box AP" in done.stdout, done.output
    found = json.loads((tmp_path / "found.json").read_text())
    assert 0 <= found["box_ap"] <= 1 and found["backbone"] == "resnet18" and found["start"].startswith("an encoder ")
    assert (tmp_path / "detector" / "figure.png").exists()


def test_what_cannot_be_is_one_sentence(trained, tmp_path, stills):
    (tmp_path / "text.pth").write_text("no weights")
    assert "text.pth" in said("import", tmp_path / "text.pth", tmp_path / "new")
    assert "gone.pth" in said("import", tmp_path / "gone.pth", tmp_path / "new")
    assert "form 'onnx' of an export is not known" in said("export", trained.run, tmp_path / "out", "--format", "onnx")
    assert "no run folder" in said("export", tmp_path / "nothing", tmp_path / "out")
    assert "learned moco: only a run of the task spatial has" in said("evaluate", trained.run)
    assert "voc07 needs --data" in said("evaluate", trained.run, "--task", "voc07")
    assert "VOC2007" in said("evaluate", trained.run, "--task", "voc07", "--data", stills)
    assert "there is no recipe 'coco'" in said("detect", "coco", "--encoder", trained.run)
    assert "is not there" in said("detect", "coco-1x", "--encoder", trained.run)


def test_sound_is_not_seen(tasks, stills):
    recipe = Recipe.model_validate(tasks | {"method": {"name": "random"}})
    train_recipe(recipe)
    message = said("evaluate", recipe.run, "--task", "knn", "--data", stills)
    assert "is of kind='sound' and sees no pictures: knn is for encoders of pictures" in message
    assert "torchvision is a form of a single ResNet" in said("export", recipe.run, recipe.run.parent / "out")
