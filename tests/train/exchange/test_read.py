"""Files of weights are told by what they hold; nothing in them is run, and what does not fit is refused in one sentence."""

import json
import os
import pickle
from collections import OrderedDict

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision import models

from models.encoders import build
from models.image import ImageEncoder
from models.sound import SoundEncoder
from tests.train.exchange.conftest import KINDS, noise, pictures
from train.encoder_file import load_encoder, save_encoder
from train.exchange import import_encoder, read_weights
from train.exchange.tensors import fingerprint


def resnet(arch: str = "resnet18") -> torch.nn.Module:
    with torch.device("meta"):
        model = getattr(models, arch)(weights=None)
    noise(model.to_empty(device="cpu"), 7)
    return model.eval()


def features(model: torch.nn.Module) -> torch.Tensor:
    return torch.nn.Sequential(*list(model.children())[:-2])(pictures())


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
@torch.no_grad()
def test_torchvision_bit_for_bit(tmp_path, arch):
    model = resnet(arch)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    encoder, notes = read_weights(tmp_path / "weights.pth")
    assert torch.equal(encoder(pictures()), features(model))
    assert not encoder.training
    assert notes == [f"the weights of {arch}", "not needed: fc"]


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
@torch.no_grad()
def test_timm(tmp_path, arch):
    model = timm.create_model(arch, pretrained=False)
    noise(model, 7)
    save_file(model.eval().state_dict(), tmp_path / "weights.safetensors")
    encoder, notes = read_weights(tmp_path / "weights.safetensors")
    torch.testing.assert_close(encoder(pictures()), model.forward_features(pictures()))
    assert notes == [f"the weights of {arch}", "not needed: fc"]


def test_weights_of_its_own(tmp_path):
    """Reading draws no random number; what was read learns, and lies neither in the file nor in a larger tensor."""
    model = resnet()
    state = model.state_dict()
    wide = torch.ones(64, 2)
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "weights.safetensors")
    torch.save(state | {"bn1.weight": wide[:, 0], "bn1.bias": torch.ones(()).expand(64)}, tmp_path / "weights.pth")
    before = torch.get_rng_state()
    for name in ("weights.safetensors", "weights.pth"):
        encoder, _ = read_weights(tmp_path / name)
        (tmp_path / name).unlink()
        assert torch.equal(encoder.trunk.layer4[1].conv2.weight, model.layer4[1].conv2.weight)
        assert all(p.requires_grad and p.is_contiguous() and p.device.type == "cpu" for p in encoder.parameters())
        encoder(pictures()).sum().backward()
        with torch.no_grad():
            encoder.trunk.bn1.bias[0] += 1
        assert encoder.trunk.bn1.bias.unique().numel() > 1
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("around", ["state_dict", "model"])
@pytest.mark.parametrize("prefix", ["module.", "backbone.", "module.encoder_q."])
def test_whatever_stands_before_the_names(tmp_path, around, prefix):
    model = resnet()
    state = OrderedDict((prefix + name, value) for name, value in model.state_dict().items())
    torch.save({around: state | {"neck.0.weight": torch.zeros(2)}, "epoch": 3}, tmp_path / "weights.pth")
    encoder, notes = read_weights(tmp_path / "weights.pth")
    assert fingerprint(encoder.trunk.state_dict()) == fingerprint(
        {name: value for name, value in model.state_dict().items() if not name.startswith("fc")}
    )
    assert notes[-1] == "not needed: fc, neck"


def test_our_own_checkpoint_has_the_query_encoder(moco, tmp_path):
    encoder, _ = read_weights(tmp_path / "run/checkpoint.pt")
    assert fingerprint(encoder.state_dict()) == fingerprint(moco.encoder.state_dict())


def test_files_from_before_the_counter_of_batches(tmp_path):
    model = resnet()
    state = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    encoder, _ = read_weights(tmp_path / "old.pth")
    assert torch.equal(encoder.trunk.layer4[1].conv2.weight, model.layer4[1].conv2.weight)
    assert int(encoder.trunk.bn1.num_batches_tracked) == 0


def test_half_precision_becomes_single(tmp_path):
    model = resnet()
    torch.save(model.half().state_dict(), tmp_path / "half.pth")
    encoder, notes = read_weights(tmp_path / "half.pth")
    assert encoder.trunk.conv1.weight.dtype == torch.float32
    assert "torch.float16 there, float32 here" in notes


@pytest.mark.parametrize("description", [*KINDS, {"kind": "progressive", "columns": [KINDS[0]] * 2, "adapter": 2}])
def test_our_own_files_of_every_kind(tmp_path, description):
    encoder = build(description)
    save_encoder(tmp_path, encoder)
    again, notes = read_weights(tmp_path / "encoder.pt")
    assert again.description == encoder.description
    assert fingerprint(again.state_dict()) == fingerprint(encoder.state_dict())
    assert notes == [f"an encoder of Sonosphere, of kind {encoder.description['kind']}"]


@pytest.mark.parametrize(
    ("arch", "told"),
    [
        ("resnet34", "holds resnet34; known here: resnet18, resnet50"),
        ("resnet101", "holds resnet101;"),
        ("wide_resnet50_2", "holds a wide resnet50 with 128 channels in the first stage's blocks;"),
        ("resnext50_32x4d", "holds a resnext50, whose convolutions are grouped;"),
        ("vgg11", "holds no ResNet by torchvision's names"),
    ],
)
def test_other_networks_are_refused_by_name(tmp_path, arch, told):
    with torch.device("meta"):
        state = getattr(models, arch)(weights=None).state_dict()
    torch.save({name: torch.zeros(()).expand(value.shape) for name, value in state.items()}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=rf"other\.pth {told}"):
        read_weights(tmp_path / "other.pth")


def test_two_networks_are_not_guessed_between(tmp_path):
    state = resnet().state_dict()
    torch.save({**{f"a.{k}": v for k, v in state.items()}, **{f"b.{k}": v for k, v in state.items()}}, tmp_path / "two.pth")
    with pytest.raises(ValueError, match=r"two\.pth holds several ResNets, named 'a\.', 'b\.'"):
        read_weights(tmp_path / "two.pth")


@pytest.fixture(scope="module")
def right() -> dict:
    """A state that fits."""
    return ImageEncoder("resnet18").trunk.state_dict()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("layer3.1.bn2.weight", None, "lacks 'layer3.1.bn2.weight'"),
        ("layer1.0.se.fc1.weight", torch.zeros(1), "holds 'layer1.0.se.fc1.weight', which this network does not have"),
        ("conv1.weight", torch.zeros(64, 1, 7, 7), r"conv1.weight has shape \(64, 1, 7, 7\) where \(64, 3, 7, 7\) is needed"),
        ("bn1.bias", torch.full((64,), float("nan")), "bn1.bias holds NaN or infinity"),
        ("bn1.bias", torch.full((64,), 1e300, dtype=torch.float64), "bn1.bias holds NaN or infinity"),
        ("bn1.bias", torch.zeros(64, dtype=torch.int64), "bn1.bias is torch.int64 where torch.float32 is needed"),
        ("bn1.bias", torch.zeros(64, dtype=torch.complex64), "bn1.bias is torch.complex64"),
        ("bn1.bias", torch.zeros(64).to_sparse(), "bn1.bias is no plain tensor"),
        ("bn1.bias", torch.zeros(64, device="meta"), "bn1.bias is no plain tensor"),
        ("bn1.running_var", torch.full((64,), -1.0), "bn1.running_var holds negative variances"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse invariant")
def test_weights_that_do_not_fit(right, tmp_path, name, value, told):
    state = dict(right)
    if value is None:
        del state[name]
    else:
        state[name] = value
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=rf"bad\.pth.* ?{told}"):
        read_weights(tmp_path / "bad.pth")


class Payload:
    def __init__(self, folder) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_not_run(tmp_path, zipped):
    path, made = tmp_path / "code.pth", tmp_path / "executed"
    torch.save({"state_dict": Payload(made)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"code\.pth holds an object of \w+\.mkdir: only tensors and plain values are read"):
        read_weights(path)
    path.write_bytes(pickle.dumps(Payload(made), protocol=2))
    with pytest.raises(ValueError, match=r"code\.pth"):
        read_weights(path)
    with pytest.raises(ValueError, match=r"code\.pth"):
        import_encoder(path, tmp_path / "run")
    assert not made.exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 half a zip",
        b"\x80\x02 half a pickle",
        b"\x10\x00\x00\x00\x00\x00\x00\x00{ no JSON in here",
        (2**40).to_bytes(8, "little") + b'{"a":1}',
        (48).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[99],"data_offsets":[0,4]}}',
    ],
)
def test_damaged_files(tmp_path, content):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ValueError, match="bad is no readable"):
        read_weights(tmp_path / "bad")


@pytest.mark.parametrize("content", [[1, 2], {3: torch.zeros(1)}, torch.zeros(3)])
def test_files_without_names(tmp_path, content):
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=r"bad\.pth holds \w+ where weights by name are needed"):
        read_weights(tmp_path / "bad.pth")


def test_no_file(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError, match="no file of weights"):
            read_weights(path)


@pytest.mark.parametrize(
    "description",
    [
        {"kind": "sound", "channels": 10**9, "width": 10**9},
        {"kind": "sound", "channels": 2, "depth": 10**9},
        {"kind": "sound", "channels": "many"},
        {"kind": "concatenated", "parts": [{"kind": "sound", "channels": 2}] * 10_000},
        {"kind": "concatenated", "parts": 3},
        {"kind": "no such"},
        {"kind": "image", "name": "resnet18"},
        {"no": "kind"},
        ["list"],
    ],
)
def test_a_description_is_not_believed(tmp_path, description):
    state = SoundEncoder(2, width=2, depth=2).state_dict()
    torch.save({"description": description, "state": state}, tmp_path / "encoder.pt")
    with pytest.raises(ValueError, match=r"encoder\.pt"):
        read_weights(tmp_path / "encoder.pt")
    save_file(state, tmp_path / "it.safetensors", {"description": json.dumps(description)})
    with pytest.raises(ValueError, match=r"it\.safetensors"):
        read_weights(tmp_path / "it.safetensors")


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_a_description_that_is_no_json(tmp_path, text):
    save_file({"a": torch.zeros(1)}, tmp_path / "it.safetensors", {"description": text})
    with pytest.raises(ValueError, match="its description of the encoder is not JSON"):
        read_weights(tmp_path / "it.safetensors")


def test_an_import_is_a_run_with_an_encoder(tmp_path):
    model = resnet()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    written = import_encoder(tmp_path / "weights.pth", tmp_path / "run")
    assert [path.name for path in written.files] == ["encoder.pt", "imported.json", "README.md"]
    assert written.sentence.startswith("the weights of resnet18; not needed: fc: ")
    encoder = load_encoder(tmp_path / "run")
    with torch.no_grad():
        assert torch.equal(encoder(pictures()), features(model))
    origin = json.loads((tmp_path / "run/imported.json").read_text())
    assert origin["file"] == "weights.pth" and len(origin["sha256"]) == 64
    before = {path: path.read_bytes() for path in written.files}
    import_encoder(tmp_path / "weights.pth", tmp_path / "run")  # the same once more is no harm
    assert before == {path: path.read_bytes() for path in written.files}


def test_an_import_spares_what_is_there(moco, tmp_path):
    torch.save(resnet().state_dict(), tmp_path / "one.pth")
    torch.save(ImageEncoder("resnet18").trunk.state_dict(), tmp_path / "two.pth")
    with pytest.raises(FileExistsError, match="run is the folder of a run that was trained here"):
        import_encoder(tmp_path / "one.pth", tmp_path / "run", force=True)
    import_encoder(tmp_path / "one.pth", tmp_path / "in")
    before = (tmp_path / "in/encoder.pt").read_bytes()
    with pytest.raises(FileExistsError, match=r"encoder\.pt is there already"):
        import_encoder(tmp_path / "two.pth", tmp_path / "in")
    assert (tmp_path / "in/encoder.pt").read_bytes() == before
    import_encoder(tmp_path / "two.pth", tmp_path / "in", force=True)
    assert (tmp_path / "in/encoder.pt").read_bytes() != before
