"""Weights of others, as a run folder that the evaluations find an encoder in."""

import hashlib
import json
from pathlib import Path

from train.encoder_file import NAME as ENCODER
from train.exchange import card
from train.exchange.facts import ORIGIN, Facts
from train.exchange.read import read_weights
from train.exchange.tensors import fingerprint, own_names
from train.exchange.whole import Written, saved, write_files
from train.run_folder import RECIPE


def import_encoder(path: str | Path, run: str | Path, *, force: bool = False) -> Written:
    """Make the folder `run` with encoder.pt, imported.json (the name and the SHA-256 of the file, and what it was) and a card.

    Raises:
        FileNotFoundError: there is no such file.
        FileExistsError: the folder holds a run, or another encoder and `force` is not set.
        ValueError: see `read_weights`.
    """
    path, run = Path(path), Path(run)
    if (run / RECIPE).exists():
        raise FileExistsError(f"{run} is the folder of a run that was trained here: choose another one to import into")
    encoder, notes = read_weights(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    origin = {"file": path.name, "sha256": digest, "notes": notes}
    facts = Facts(run.resolve().name, None, (), None, origin, {})
    text = card.model_card(facts, encoder, fingerprint(own_names(encoder)), [ENCODER])
    files = {
        ENCODER: saved({"description": encoder.description, "state": encoder.state_dict()}),
        ORIGIN: (json.dumps(origin, indent=2) + "\n").encode(),
        card.NAME: text.encode(),
    }
    written = write_files(run, files, force=force)
    return Written(written, f"{'; '.join(notes)}: {run / ENCODER} holds it, for `sonosphere evaluate {run}`")
