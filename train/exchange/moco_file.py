"""The checkpoint of the official MoCo code, and what of ours is what of theirs.

Theirs is {epoch, arch, state_dict, optimizer}. The state dict is that of their model within DistributedDataParallel (`module.`):
`encoder_q` and `encoder_k` are torchvision ResNets whose `fc` is the head, for MoCo-v2 (linear, ReLU, linear); `queue` is (D, K)
and `queue_ptr` (1,), where ours are (K, D) and (). Described from the format of their files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.image import GlobalHead, ImageEncoder
from train.exchange.opened import open_file
from train.exchange.resnet import KNOWN, architecture
from train.exchange.tensors import checked

MODULE = "module."
_NAMES = (
    ("encoder.trunk.", "encoder_q."),
    ("head.layers.", "encoder_q.fc."),
    ("key_encoder.trunk.", "encoder_k."),
    ("key_head.layers.", "encoder_k.fc."),
)
"""Ours, theirs: the networks."""


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict from that of `train.objectives.moco.MoCo`, in their order."""
    place, keys = state["queue.place"], state["queue.keys"]
    found = {"queue": keys.T.contiguous(), "queue_ptr": place.reshape(1)}
    for ours, theirs in _NAMES:
        found |= {theirs + name.removeprefix(ours): value for name, value in state.items() if name.startswith(ours)}
    return {MODULE + name: value for name, value in found.items()}


def fresh_optimizer(state: Mapping[str, Tensor], *, lr: float, momentum: float, weight_decay: float) -> dict[str, Any]:
    """The state of an SGD that has taken no step, over all parameters of their model: their code does not go on without one."""
    buffers = ("queue", "queue_ptr", "running_mean", "running_var", "num_batches_tracked")
    count = sum(not name.endswith(buffers) for name in state)
    parameters = [torch.nn.Parameter(torch.empty(0)) for _ in range(count)]
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay).state_dict()


def moco_state(path: str | Path) -> dict[str, Tensor]:
    """From an official MoCo-v2 checkpoint the state of `train.objectives.moco.MoCo`: both networks, their heads, and the queue.

    The objective must have been made with the sizes of the file: `contrast.queue` is the length of `queue.keys`, `contrast.hidden`
    and `contrast.out` are the rows of `head.layers.0.weight` and `head.layers.2.weight`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is none, one of MoCo v1, whose head is one linear layer, of a network that is not known here, or damaged.
    """
    path = Path(path)
    content = open_file(path).content
    saved = content.get("state_dict")
    if not isinstance(saved, dict) or not all(isinstance(name, str) for name in saved):
        raise ValueError(f"{path} is no checkpoint of the official MoCo code: it holds no state_dict")
    theirs = {name.removeprefix(MODULE): value for name, value in saved.items()}
    plain = {name: value for name, value in theirs.items() if isinstance(value, Tensor)}
    if "encoder_q.fc.weight" in plain and "encoder_q.fc.0.weight" not in plain:
        raise ValueError(f"{path} is of MoCo v1, whose head is one linear layer: only its encoder can be taken (import)")
    wanted = _wanted(plain, path)
    taken = checked(theirs, wanted, str(path))
    pointer = int(taken["queue_ptr"])
    if not 0 <= pointer < taken["queue"].shape[1]:
        raise ValueError(f"{path}: queue_ptr={pointer} lies outside the queue of {taken['queue'].shape[1]} keys")
    state = {"queue.keys": taken["queue"].T.contiguous(), "queue.place": taken["queue_ptr"].reshape(())}
    for name in wanted:
        if not name.startswith("queue"):
            state[_ours(name)] = taken[name]
    return state


def _wanted(theirs: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Names, shapes and types that such a file has, on the device `meta`; the sizes of head and queue are the file's own."""
    query = {name.removeprefix("encoder_q."): value for name, value in theirs.items() if name.startswith("encoder_q.")}
    if (arch := architecture(query)) not in KNOWN:
        raise ValueError(f"{path} holds {arch}; known here: {', '.join(KNOWN)}")
    sizes = [theirs.get(name) for name in ("encoder_q.fc.0.weight", "encoder_q.fc.2.weight", "queue")]
    if any(value is None or value.ndim != 2 for value in sizes):
        raise ValueError(f"{path} is no checkpoint of MoCo-v2: it lacks the queue, or encoder_q.fc.0 and .2, its head")
    hidden, out, length = len(sizes[0]), len(sizes[1]), sizes[2].shape[1]  # type: ignore[arg-type,union-attr]
    if not length:
        raise ValueError(f"{path}: its queue holds no key")
    with torch.device("meta"):
        encoder = ImageEncoder(arch)
        head = GlobalHead(encoder.out_channels, hidden=hidden, out=out)
        wanted = {"queue": torch.empty(out, length), "queue_ptr": torch.empty(1, dtype=torch.int64)}
    networks = {"encoder.trunk.": encoder.trunk, "head.layers.": head.layers}
    for ours, prefix in _NAMES:
        network = networks[ours.removeprefix("key_")]
        wanted |= {prefix + name: value for name, value in network.state_dict().items()}
    return wanted


def _ours(name: str) -> str:
    """Our name of one of their networks' weights; the head's, which is longer, is tried first."""
    for ours, theirs in sorted(_NAMES, key=lambda pair: -len(pair[1])):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    raise KeyError(name)
