"""The checkpoint of a MoCo or DenseCL run, as the official MoCo code would have written it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.image import ImageEncoder
from train.checkpoint import NAME as CHECKPOINT
from train.exchange.moco_file import fresh_optimizer, to_official
from train.exchange.tensors import own_names
from train.exchange.whole import saved
from train.run_folder import read_run


def has_moco(run: Path) -> bool:
    """Whether the run's checkpoint holds one MoCo."""
    try:
        return len(_objectives(read_run(run)[1]["model"])) == 1
    except FileNotFoundError:
        return False


def moco_checkpoint(run: Path, encoder: ImageEncoder) -> tuple[bytes, list[str]]:
    """The file, and notes for people.

    Raises:
        FileNotFoundError: the run has no checkpoint of its own.
        ValueError: it is not of one MoCo, or not of this encoder.
    """
    try:
        recipe, checkpoint = read_run(run)
    except FileNotFoundError:
        stages = sorted(path.parent.name for path in run.glob(f"*/{CHECKPOINT}"))
        where = f"; these of its folders do: {', '.join(stages)}" if stages else ""
        raise FileNotFoundError(f"{run} holds no {CHECKPOINT}, where MoCo's key encoder and queue would be{where}") from None
    model: dict[str, Tensor] = checkpoint["model"]
    found = _objectives(model)
    if len(found) != 1:
        raise ValueError(f"{run} holds {'several' if found else 'no'} MoCo, and the moco form is that of one MoCo or DenseCL")
    state = {name.removeprefix(found[0]): value for name, value in model.items() if name.startswith(found[0])}
    for name, value in own_names(encoder).items():
        if not torch.equal(value, state[f"encoder.trunk.{name}"]):
            raise ValueError(f"{run}: its encoder.pt and its {CHECKPOINT} hold different weights, so one is of another run")
    official = to_official(state)
    optim = recipe.optim
    content = {
        "epoch": optim.epochs or int(checkpoint.get("loader", {}).get("epoch") or 0),  # those that have ended
        "arch": encoder.kind,
        "state_dict": official,
        "optimizer": fresh_optimizer(official, lr=optim.lr, momentum=optim.momentum, weight_decay=optim.weight_decay),
    }
    return saved(content), _notes(state, encoder)


def _objectives(model: Mapping[str, Any]) -> list[str]:
    """What stands before the names of each MoCo in the state of an objective: nothing, or what wraps it."""
    found = [name.removesuffix("queue.keys") for name in model if f".{name}".endswith(".queue.keys")]
    networks = ("encoder.trunk.conv1.weight", "key_encoder.trunk.conv1.weight")
    return [prefix for prefix in found if all(prefix + name in model for name in networks)]


def _notes(state: Mapping[str, Tensor], encoder: ImageEncoder) -> list[str]:
    """What the file lacks, and what the official code would not take."""
    notes = ["its optimizer is one that has taken no step, so the official code goes on without momentum"]
    if any(name.startswith("dense_head.") for name in state):
        notes.append("DenseCL's dense head and queue are not in it, for the official format has no place for them")
    hidden, made = len(state["head.layers.0.weight"]), encoder.out_channels
    if hidden != made:
        notes.append(f"its head has {hidden} hidden units and the official code makes {made}, so only its encoder fits there")
    return notes
