"""The product of a run: its sound encoder, in one file that can be read without the rest."""

from pathlib import Path

import torch

from models.encoder import Encoder
from models.encoders import build
from train.checkpoint import write_state

NAME = "encoder.pt"


def save_encoder(folder: Path, encoder: Encoder) -> Path:
    """Write folder/encoder.pt, whole or not at all."""
    return write_state(folder / NAME, {"description": encoder.description, "state": encoder.state_dict()})


def load_encoder(folder: str | Path) -> Encoder:
    """The encoder of a run, on the CPU, in evaluation mode. Executes nothing that the file holds.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: the file is none.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: the run has not ended, or {folder} is no run folder")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        encoder = build(saved["description"])
        encoder.load_state_dict(saved["state"])
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError … by the kind of damage
        raise ValueError(f"{path} is no readable encoder ({type(error).__name__})") from error
    return encoder.eval()
