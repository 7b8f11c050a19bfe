"""What a run folder of detection holds, and whether it belongs to what is asked for: a finished training is not done again."""

import zlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from train.checkpoint import load_checkpoint
from train.downstream.detection.settings import Detection, differences
from train.downstream.detection.settings_file import dump_detection, load_detection
from train.run_folder import RECIPE


def saved_training(settings: Detection, start: str, data: int) -> dict[str, Any] | None:
    """The checkpoint of an earlier start of the same training in `settings.run`, or None.

    Args:
        start: see `start_of`. data: checksum of the training annotations.

    Raises:
        ValueError: the folder holds another training; the message says in what it differs.
    """
    folder = settings.run
    if (folder / RECIPE).is_file() and (changed := differences(load_detection(folder / RECIPE), settings)):
        raise ValueError(
            f"{folder} holds a training of another recipe ({'; '.join(changed)}); choose another folder with run=…, or remove it"
        )
    saved = load_checkpoint(folder)
    if saved is None:
        return None
    if saved.get("start") != start:
        raise ValueError(f"{folder} holds a training from {saved.get('start')}, not from {start}; remove it to train anew")
    if saved.get("data") != data:
        raise ValueError(
            f"{folder} holds a training on other annotations than those of {settings.data.train}; remove it to train anew"
        )
    return saved


def claim(settings: Detection) -> None:
    """Make the run folder and its recipe.yaml."""
    settings.run.mkdir(parents=True, exist_ok=True)
    write_text(settings.run / RECIPE, dump_detection(settings))


def start_of(encoder: nn.Module | None) -> str:
    """What a detector starts from, in words that tell one encoder from another: `an encoder 1a2b3c4d`, or `a random backbone`."""
    if encoder is None:
        return "a random backbone"
    checksum = 0
    for name, value in sorted(encoder.state_dict().items()):
        checksum = zlib.crc32(
            value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy(), zlib.crc32(name.encode(), checksum)
        )
    return f"an encoder {checksum:08x}"


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)
