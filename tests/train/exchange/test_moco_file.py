"""Files of the official MoCo code, written by hand, are understood; and ours are understood by a model that is not ours."""

import pytest
import torch
from torch import nn

from models.image import GlobalHead, ImageEncoder
from tests.train.exchange.conftest import HIDDEN, OUT, QUEUE, pictures, plain, recipe
from tests.train.exchange.official import official, write
from train.exchange import export, moco_state, read_weights
from train.objectives.moco import MoCo


def body(network: nn.Module) -> nn.Module:
    """A torchvision ResNet up to its last feature map."""
    return nn.Sequential(*list(network.children())[:-2])


@pytest.mark.parametrize(("zipped", "module"), [(True, True), (False, True), (True, False)])
@torch.no_grad()
def test_features_and_logits_of_an_official_checkpoint(tmp_path, zipped, module):
    theirs = official()
    path = write(theirs, tmp_path / "moco.pth.tar", zipped=zipped, module=module)
    encoder, notes = read_weights(path)
    features = encoder(pictures())
    assert torch.equal(features, body(theirs.encoder_q)(pictures()))
    assert notes[0] == "the query encoder of a MoCo checkpoint after 200 epochs, resnet18"
    assert set(notes[1].removeprefix("not needed: ").split(", ")) == {"fc", "encoder_k", "queue", "queue_ptr"}

    objective = plain(MoCo(recipe(tmp_path / "none"), ImageEncoder("resnet18")))
    objective.load_state_dict(moco_state(path))
    for head, encoder, network in (
        (objective.head, objective.encoder, theirs.encoder_q),
        (objective.key_head, objective.key_encoder, theirs.encoder_k),
    ):
        torch.testing.assert_close(head(encoder(pictures())), network(pictures()))
    assert torch.equal(objective.queue.keys, theirs.queue.T) and int(objective.queue.place) == 8
    views = {"view0": pictures(), "view1": pictures(2, 96)}
    query = nn.functional.normalize(theirs.encoder_q(views["view0"]), dim=1)
    key = nn.functional.normalize(theirs.encoder_k(views["view1"]), dim=1)
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ theirs.queue], 1) / 0.2
    loss, _ = objective(views)
    torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, torch.zeros(2, dtype=torch.long)))


@torch.no_grad()
def test_resnet50_with_its_own_sizes(tmp_path):
    theirs = official("resnet50", dim=128, length=64)
    path = write(theirs, tmp_path / "moco.pth.tar", arch="resnet50")
    encoder, _ = read_weights(path)
    assert encoder.kind == "resnet50"
    features = encoder(pictures(1))
    assert torch.equal(features, body(theirs.encoder_q)(pictures(1)))
    state = moco_state(path)
    head = GlobalHead(2048)
    head.load_state_dict({name.removeprefix("head."): value for name, value in state.items() if name.startswith("head.")})
    torch.testing.assert_close(head(features), theirs.encoder_q(pictures(1)))
    assert state["queue.keys"].shape == (64, 128)


@torch.no_grad()
def test_our_checkpoint_in_the_official_model(moco, tmp_path):
    export(tmp_path / "run", tmp_path / "out", "moco")
    saved = torch.load(tmp_path / "out/moco_resnet18.pth.tar", weights_only=True)
    assert (saved["epoch"], saved["arch"]) == (3, "resnet18")
    theirs = nn.ModuleDict({"module": official(dim=OUT, length=QUEUE)})
    assert list(theirs.state_dict()) == list(saved["state_dict"])
    theirs.load_state_dict(saved["state_dict"], strict=True)
    model = theirs["module"].eval()
    torch.testing.assert_close(model.encoder_q(pictures()), moco.head(moco.encoder(pictures())))
    torch.testing.assert_close(model.encoder_k(pictures()), moco.key_head(moco.key_encoder(pictures())))
    assert torch.equal(model.queue, moco.queue.keys.T) and model.queue_ptr.tolist() == [8]

    optimizer = torch.optim.SGD(model.parameters(), 1.0)  # as their script resumes
    optimizer.load_state_dict(saved["optimizer"])
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.03, 0.9, 1e-4)


def test_round_trip_of_the_whole_state(moco, tmp_path):
    export(tmp_path / "run", tmp_path / "out", "moco")
    state = moco_state(tmp_path / "out/moco_resnet18.pth.tar")
    again = plain(MoCo(recipe(tmp_path / "none"), ImageEncoder("resnet18")))
    again.load_state_dict(state)
    for name, value in moco.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_of_densecl_what_moco_has_too(densecl, tmp_path):
    written = export(tmp_path / "run", tmp_path / "out", "moco")
    assert "DenseCL's dense head and queue are not in it" in written.sentence
    state = moco_state(written.files[0])
    assert not any("dense" in name for name in state)
    assert all(torch.equal(value, densecl.state_dict()[name]) for name, value in state.items())


def test_version_one_has_an_encoder_only(tmp_path):
    theirs = official(perceptron=False)
    path = write(theirs, tmp_path / "v1.pth.tar")
    assert read_weights(path)[0].kind == "resnet18"
    with pytest.raises(ValueError, match=r"v1\.pth\.tar is of MoCo v1, whose head is one linear layer"):
        moco_state(path)


@pytest.fixture(scope="module")
def right() -> dict:
    """A state that fits."""
    return {f"module.{key}": tensor for key, tensor in official().state_dict().items()}


def change(right: dict, name: str, value) -> dict:
    state = dict(right)
    if value is None:
        del state[f"module.{name}"]
    else:
        state[f"module.{name}"] = value
    return {"epoch": 1, "arch": "resnet18", "state_dict": state}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("queue_ptr", torch.tensor([24]), "queue_ptr=24 lies outside the queue of 24 keys"),
        ("queue_ptr", torch.tensor([-1]), "queue_ptr=-1 lies outside"),
        ("queue_ptr", torch.tensor([0.5]), "queue_ptr is torch.float32 where torch.int64"),
        ("queue", torch.full((OUT, QUEUE), float("nan")), "queue holds NaN"),
        ("queue", torch.zeros(OUT, 0), "its queue holds no key"),
        ("queue", torch.zeros(OUT + 1, QUEUE), r"queue has shape \(17, 24\) where \(16, 24\)"),
        ("queue", None, "lacks the queue, or encoder_q.fc.0"),
        ("encoder_k.fc.0.weight", torch.zeros(HIDDEN + 1, 512), r"encoder_k.fc.0.weight has shape \(513, 512\)"),
        ("encoder_k.layer1.0.bn1.bias", None, "lacks 'encoder_k.layer1.0.bn1.bias'"),
        ("encoder_q.layer1.0.extra", torch.zeros(1), "holds 'encoder_q.layer1.0.extra', which this network does not have"),
    ],
)
def test_a_checkpoint_that_does_not_fit(right, tmp_path, name, value, told):
    torch.save(change(right, name, value), tmp_path / "bad.tar")
    with pytest.raises(ValueError, match=rf"bad\.tar.*{told}"):
        moco_state(tmp_path / "bad.tar")


def test_a_plain_state_dict_is_no_checkpoint_of_moco(tmp_path):
    torch.save(official().encoder_q.state_dict(), tmp_path / "plain.pth")
    with pytest.raises(ValueError, match=r"plain\.pth is no checkpoint of the official MoCo code"):
        moco_state(tmp_path / "plain.pth")
