"""How others load our files: Python that stands in the model card, and that the tests run as it stands there."""

from models.encoder import Encoder
from models.image import ImageEncoder

SAFETENSORS = "model.safetensors"

_TORCHVISION = """
import torch
from torchvision.models import {arch}

model = {arch}(weights=None)
model.load_state_dict(torch.load("{file}", weights_only=True), strict=False)  # all but the classifier, `fc`
"""

_TIMM = """
import timm
import torch

model = timm.create_model("{arch}", pretrained=False, num_classes=0)
model.load_state_dict(torch.load("{file}", weights_only=True))
features = model.forward_features(torch.zeros(1, 3, 224, 224))  # (1, {channels}, 7, 7)
"""

_SAFETENSORS = """
from safetensors.torch import load_file
from torchvision.models import {arch}

model = {arch}(weights=None)
model.load_state_dict(load_file("{file}"), strict=False)
"""

_MOCO = """
import torch
from torchvision.models import {arch}

saved = torch.load("{file}", weights_only=True)  # epoch, arch, state_dict, optimizer
query = "module.encoder_q."
weights = {{name.removeprefix(query): value for name, value in saved["state_dict"].items() if name.startswith(query)}}
model = {arch}(weights=None)
model.load_state_dict({{name: value for name, value in weights.items() if not name.startswith("fc.")}}, strict=False)
"""

_OURS = """
from train.exchange import read_weights

encoder, notes = read_weights("{file}")
"""


def file_name(form: str, encoder: Encoder) -> str:
    """Of an export."""
    arch = encoder.kind if isinstance(encoder, ImageEncoder) else ""
    return {"torchvision": f"{arch}.pth", "safetensors": SAFETENSORS, "moco": f"moco_{arch}.pth.tar"}[form]


def ways(encoder: Encoder, files: list[str]) -> list[tuple[str, str]]:
    """Headings and Python for each of these files, which the code reads from the folder that it runs in."""
    found = []
    for file in files:
        given = {"file": file}
        if isinstance(encoder, ImageEncoder):
            given |= {"arch": encoder.kind, "channels": str(encoder.out_channels)}
            if file.endswith(".pth"):
                found += [(f"`{file}` with torchvision", _TORCHVISION), (f"`{file}` with timm", _TIMM)]
            elif file.endswith(".safetensors"):
                found += [(f"`{file}`", _SAFETENSORS)]
            elif file.endswith(".tar"):
                found += [(f"`{file}`, as the official MoCo code writes it", _MOCO)]
        found += [(f"`{file}` with Sonosphere", _OURS)]
        found = [(heading, code.format(**given) if "{file}" in code else code) for heading, code in found]
    return [(heading, code.strip()) for heading, code in found]
