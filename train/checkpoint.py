"""Checkpoints: everything a run needs to go on, in one file that is either whole or not there."""

import os
import random
from pathlib import Path
from typing import Any

import torch

from dataio.format.atomic import sync_folder

NAME = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> Path:
    """Write `state` to folder/checkpoint.pt."""
    return write_state(folder / NAME, state)


def write_state(path: Path, state: dict[str, Any]) -> Path:
    """Write tensors and plain values to a temporary name, synced, then renamed over what is there."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
    return path


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state in folder/checkpoint.pt on the CPU, or None if there is none. Executes nothing that the file holds.

    Raises:
        ValueError: the file is no checkpoint.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError … by the kind of damage
        raise ValueError(f"{path} is no readable checkpoint ({type(error).__name__}); remove it to start afresh") from error


def random_states() -> dict[str, Any]:
    """States of the generators a step may draw from: Python's, torch's, and those of every GPU."""
    version, numbers, gauss = random.getstate()
    return {"python": [version, list(numbers), gauss], "torch": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def restore_random_states(states: dict[str, Any]) -> None:
    """Undo of `random_states`. GPUs beyond those there were then keep their state."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    torch.set_rng_state(states["torch"])
    for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, device)
