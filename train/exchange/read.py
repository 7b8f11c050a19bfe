"""An encoder from a file of weights that somebody made, told by what it holds."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.encoder import Encoder
from models.encoders import build
from models.image import ImageEncoder
from train.exchange.opened import Opened, open_file
from train.exchange.resnet import KNOWN, architecture, prefixes
from train.exchange.tensors import checked, fill

CLASSIFIERS = ("fc", "classifier", "head")
"""What stands after the last stage, in torchvision, timm, and MoCo's head."""

_SECOND = ("encoder_k.", "key_encoder.trunk.")
"""Prefixes of the slower of two encoders: the other one is what a run is for."""


def read_weights(path: str | Path) -> tuple[Encoder, list[str]]:
    """The encoder in a file, on the CPU, in evaluation mode. Executes nothing that the file holds.

    Read are: checkpoints of the official MoCo code (their query encoder; v1 too), state dicts of torchvision's and timm's resnet18
    and resnet50 whatever stands before the names, both as torch.save or safetensors write them, and our own encoder.pt and
    safetensors. The names and the shapes decide, not the name of the file nor what it says of itself.

    Returns:
        the encoder, `models.image.ImageEncoder` but for our own files of other kinds; and notes for people: what it is, and what of
        the file was not needed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, holds objects that would run code, another network, or weights that do not fit or are not finite.
    """
    path = Path(path)
    opened = open_file(path)
    described = _description(opened, path)
    if described is not None:
        description, state = described
        encoder = _built(description, state, path)
        return encoder, [f"an encoder of Sonosphere, of kind {description['kind']}"]
    return _resnet(opened, path)


def _description(opened: Opened, path: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What our own files say of their encoder, and its weights; None: it is none of ours."""
    content, text = opened.content, (opened.metadata or {}).get("description")
    if text is not None:
        try:
            description, state = json.loads(text), content
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: its description of the encoder is not JSON") from error
    elif opened.metadata is None and content.keys() == {"description", "state"}:
        description, state = content["description"], content["state"]
    else:
        return None
    if not isinstance(description, dict) or not isinstance(description.get("kind"), str) or not isinstance(state, dict):
        raise ValueError(f"{path}: its description of the encoder is none")
    return description, state


def _built(description: dict[str, Any], state: dict[str, Any], path: Path) -> Encoder:
    """Built twice: without memory first, so that sizes that only a description claims cost nothing."""
    try:
        if _layers(description) > len(state):
            raise ValueError("more layers than weights")
        with torch.device("meta"):
            claimed = build(description).state_dict()
    except Exception as error:  # whatever plain values a description may hold end up in constructors of networks
        raise ValueError(f"{path}: its description is of no encoder that is known here ({type(error).__name__})") from error
    checked(state, claimed, str(path))
    encoder = build(description)
    fill(encoder, state, str(path))
    return encoder.eval()


def _layers(description: dict[str, Any]) -> int:
    """At least so many layers are described: building them takes time, even without memory."""
    inner = [*description.get("parts", ()), *description.get("columns", ())]
    return max(1, int(description.get("depth", 1))) + sum(_layers(part) for part in inner)


def _resnet(opened: Opened, path: Path) -> tuple[ImageEncoder, list[str]]:
    """The only ResNet in the file, or of two the one that learned by gradients."""
    content = next((v for name in ("state_dict", "model") if isinstance(v := opened.content.get(name), dict)), opened.content)
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    found = prefixes(tensors)
    if len(found) > 1:
        found = [prefix for prefix in found if not prefix.endswith(_SECOND)]
    if not found:
        raise ValueError(f"{path} holds no ResNet by torchvision's names (conv1.weight, layer1.0.conv1.weight, …)")
    if len(found) > 1:
        raise ValueError(f"{path} holds several ResNets, named {', '.join(repr(prefix[:80]) for prefix in found[:4])}: which one?")
    prefix = found[0]
    inside = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    arch = architecture(inside)
    if arch not in KNOWN:
        raise ValueError(f"{path} holds {arch}; known here: {', '.join(KNOWN)}")
    trunk = {name: value for name, value in inside.items() if name.split(".")[0] not in CLASSIFIERS}
    with torch.device("meta"):
        encoder = ImageEncoder(arch)
    fill(encoder.trunk, trunk, str(path))
    unused = [name for name in tensors if name.removeprefix(prefix) not in trunk or not name.startswith(prefix)]
    return encoder.eval(), _notes(arch, prefix, trunk, unused, opened.content)


def _notes(arch: str, prefix: str, trunk: Mapping[str, Tensor], unused: Iterable[str], content: Mapping[str, Any]) -> list[str]:
    official = prefix.endswith("encoder_q.")
    epoch = content.get("epoch")
    after = f" after {epoch} epochs" if official and isinstance(epoch, int) else ""
    notes = [f"the query encoder of a MoCo checkpoint{after}, {arch}" if official else f"the weights of {arch}"]
    if prefix and not official:
        notes.append(f"named {prefix[:80]}… there")
    if types := sorted({str(value.dtype) for value in trunk.values() if value.is_floating_point()} - {"torch.float32"}):
        notes.append(f"{', '.join(types)} there, float32 here")
    if left := dict.fromkeys(_part(name, prefix) for name in unused):
        shown = ", ".join(list(left)[:6]) + (" …" if len(left) > 6 else "")
        notes.append(f"not needed: {shown}")
    return notes


def _part(name: str, prefix: str) -> str:
    """Which part of the file a name belongs to: `fc`, `encoder_k`, `queue`."""
    return name.removeprefix(prefix).removeprefix("module.").split(".")[0][:40]
