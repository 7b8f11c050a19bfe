"""What is exported is what other libraries load, the same bytes every time, and never written over what is there."""

import json

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torchvision import models

from models.encoders import build
from models.image import ImageEncoder
from tests.train.exchange.conftest import KINDS, make_run, noise, pictures
from train.checkpoint import load_checkpoint, save_checkpoint
from train.encoder_file import save_encoder
from train.exchange import export, import_encoder, read_weights, whole
from train.exchange.tensors import fingerprint


def in_torchvision(arch: str, state: dict) -> torch.nn.Module:
    model = getattr(models, arch)(weights=None)
    result = model.load_state_dict(state, strict=False)
    assert result.missing_keys == ["fc.weight", "fc.bias"] and not result.unexpected_keys
    return torch.nn.Sequential(*list(model.eval().children())[:-2])


@torch.no_grad()
def test_torchvision_and_timm(moco, tmp_path):
    written = export(tmp_path / "run", tmp_path / "out", "torchvision")
    assert [path.name for path in written.files] == ["resnet18.pth", "README.md"]
    assert written.sentence == f"moco, resnet18: resnet18.pth and README.md in {tmp_path / 'out'}"
    state = torch.load(written.files[0], weights_only=True)
    ours = moco.encoder(pictures())
    assert torch.equal(in_torchvision("resnet18", state)(pictures()), ours)
    model = timm.create_model("resnet18", pretrained=False, num_classes=0)
    model.load_state_dict(state)
    torch.testing.assert_close(model.eval().forward_features(pictures()), ours)


@torch.no_grad()
def test_resnet50(tmp_path):
    encoder = ImageEncoder("resnet50").eval()
    noise(encoder, 3)
    save_encoder(tmp_path, encoder)
    ours = encoder(pictures())
    state = torch.load(export(tmp_path, tmp_path / "out", "torchvision").files[0], weights_only=True)
    assert torch.equal(in_torchvision("resnet50", state)(pictures()), ours)
    model = timm.create_model("resnet50", pretrained=False, num_classes=0)
    model.load_state_dict(load_file(export(tmp_path, tmp_path / "out", "safetensors").files[0]))
    torch.testing.assert_close(model.eval().forward_features(pictures()), ours)


@torch.no_grad()
def test_safetensors(moco, tmp_path):
    (tmp_path / "run/environment.json").write_text(json.dumps({"commit": "abc123"}))
    path = export(tmp_path / "run", tmp_path / "out", "safetensors").files[0]
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "arch": "resnet18", "recipe": "moco", "commit": "abc123"}
    assert torch.equal(in_torchvision("resnet18", load_file(path))(pictures()), moco.encoder(pictures()))


@pytest.mark.parametrize("form", ["torchvision", "safetensors", "moco"])
def test_round_trips(moco, tmp_path, form):
    path = export(tmp_path / "run", tmp_path / "out", form).files[0]
    again, _ = read_weights(path)
    assert fingerprint(again.state_dict()) == fingerprint(moco.encoder.state_dict())
    import_encoder(path, tmp_path / "in")
    if form != "moco":
        assert export(tmp_path / "in", tmp_path / "again", "torchvision").sentence.startswith("imported weights, resnet18")


@pytest.mark.parametrize("description", KINDS[:2])
def test_encoders_that_no_other_library_has(tmp_path, description):
    encoder = build(description)
    noise(encoder, 4)
    save_encoder(tmp_path, encoder)
    kind = encoder.description["kind"]
    for form in ("torchvision", "moco"):
        with pytest.raises(
            ValueError, match=f"is of kind '{kind}': {form} is a form of a single ResNet; allowed here: safetensors"
        ):
            export(tmp_path, tmp_path / "out", form)
    assert not (tmp_path / "out").exists()
    path = export(tmp_path, tmp_path / "out", "safetensors").files[0]
    again, _ = read_weights(path)
    assert again.description == encoder.description
    assert fingerprint(again.state_dict()) == fingerprint(encoder.state_dict())
    assert set(load_file(path)) == set(encoder.state_dict())


def test_the_same_bytes_every_time(moco, tmp_path):
    (tmp_path / "run/environment.json").write_text(json.dumps({"commit": "abc123"}))
    for out in "abc":  # the order of safetensors' metadata is drawn anew each time
        for form in ("torchvision", "safetensors", "moco") if out < "c" else ("safetensors",):
            export(tmp_path / "run", tmp_path / out, form)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["README.md", "moco_resnet18.pth.tar", "model.safetensors", "resnet18.pth"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "c/model.safetensors").read_bytes()


def test_nothing_is_written_over_unasked(moco, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "resnet18.pth").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"resnet18\.pth is there already, with other content"):
        export(tmp_path / "run", out, "torchvision")
    assert [path.name for path in out.iterdir()] == ["resnet18.pth"] and (out / "resnet18.pth").read_bytes() == b"mine"
    export(tmp_path / "run", out, "torchvision", force=True)
    assert read_weights(out / "resnet18.pth")[0].kind == "resnet18"


def test_a_card_with_what_people_wrote_is_kept(moco, tmp_path):
    card = export(tmp_path / "run", tmp_path / "out", "torchvision").files[1]
    card.write_text("license: mine\n" + card.read_text())
    written = export(tmp_path / "run", tmp_path / "out", "safetensors")
    assert [path.name for path in written.files] == ["model.safetensors"] and written.sentence.endswith("and was kept")
    assert card.read_text().startswith("license: mine")
    (tmp_path / "other").mkdir()
    noise(other := ImageEncoder("resnet18"), 9)
    save_encoder(tmp_path / "other", other)
    with pytest.raises(FileExistsError, match=r"\.pth is there already"):
        export(tmp_path / "other", tmp_path / "out", "torchvision")
    (tmp_path / "out/resnet18.pth").unlink()
    with pytest.raises(FileExistsError, match=r"README\.md is there already"):
        export(tmp_path / "other", tmp_path / "out", "torchvision")


def test_a_full_disk_leaves_nothing_half(moco, tmp_path, monkeypatch):
    def full(path, data):
        (path.parent / "touched").touch()
        raise OSError(28, "No space left on device")

    export(tmp_path / "run", tmp_path / "out", "torchvision")
    before = (tmp_path / "out/resnet18.pth").read_bytes()
    monkeypatch.setattr(whole, "write_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        export(tmp_path / "run", tmp_path / "out", "torchvision", force=True)
    assert (tmp_path / "out/resnet18.pth").read_bytes() == before


def test_a_moco_inside_another_objective_is_found(moco, tmp_path):
    saved = load_checkpoint(tmp_path / "run")
    wrapped = {f"task.{name}": value for name, value in saved["model"].items()} | {"old.encoder.trunk.conv1.weight": torch.zeros(1)}
    save_checkpoint(tmp_path / "run", saved | {"model": wrapped})
    path = export(tmp_path / "run", tmp_path / "out", "moco").files[0]
    assert fingerprint(read_weights(path)[0].state_dict()) == fingerprint(moco.encoder.state_dict())


def test_runs_without_one_moco(moco, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    saved = load_checkpoint(run)
    twice = {f"tasks.{task}.{name}": value for task in "ab" for name, value in saved["model"].items()}
    for model, told in ((twice, "several"), ({"encoder.trunk.conv1.weight": torch.zeros(1)}, "no")):
        save_checkpoint(run, saved | {"model": model})
        with pytest.raises(ValueError, match=f"run holds {told} MoCo, and the moco form is that of one"):
            export(run, out, "moco")
    other = {**saved["model"], "encoder.trunk.conv1.weight": torch.zeros(64, 3, 7, 7)}
    save_checkpoint(run, saved | {"model": other})
    with pytest.raises(ValueError, match=r"encoder\.pt and its checkpoint\.pt hold different weights"):
        export(run, out, "moco")
    (run / "2-densecl").mkdir()
    (run / "checkpoint.pt").rename(run / "2-densecl/checkpoint.pt")
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoint\.pt, .*; these of its folders do: 2-densecl"):
        export(run, out, "moco")
    assert not out.exists()


def test_no_run_and_no_form(moco, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"encoder\.pt is not there"):
        export(tmp_path, tmp_path / "out", "torchvision")
    with pytest.raises(ValueError, match="form 'onnx' of an export is not known; allowed: torchvision, safetensors, moco"):
        export(tmp_path / "run", tmp_path / "out", "onnx")  # type: ignore[arg-type]


def test_a_head_of_another_width_is_told(tmp_path):
    make_run(tmp_path / "narrow", hidden=32)
    told = export(tmp_path / "narrow", tmp_path / "out", "moco").sentence
    assert "its head has 32 hidden units and the official code makes 512" in told
