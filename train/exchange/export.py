"""From a finished run to files that others load, and a model card beside them."""

import json
from pathlib import Path
from typing import Literal, get_args

from models.encoder import Encoder
from models.image import ImageEncoder
from train.encoder_file import load_encoder
from train.exchange import card
from train.exchange.facts import Facts, read_facts
from train.exchange.loading import file_name
from train.exchange.moco_run import has_moco, moco_checkpoint
from train.exchange.tensors import fingerprint, own_names
from train.exchange.training import commit, learned
from train.exchange.whole import Written, safetensors, saved, write_files

Form = Literal["torchvision", "safetensors", "moco"]
FORMS: tuple[str, ...] = get_args(Form)


def export(run: str | Path, out: str | Path, form: Form, *, force: bool = False) -> Written:
    """Write the encoder of a run into a folder, as one file and the model card README.md.

    A card that is there already and tells of these weights is kept, with what people wrote into it.

    Args:
        run: the folder of a finished run, or of an imported encoder.
        out: a folder, which need not exist.
        form: `torchvision`: the state dict that torchvision's and timm's resnet18 or resnet50 take, without `fc`. `safetensors`:
            the same names, or our own of another encoder, with arch, recipe and commit as metadata. `moco`: a checkpoint as the
            official MoCo code writes it, with both encoders, heads and the queue; of DenseCL what MoCo has too.
        force: write over files that are there.

    Raises:
        FileNotFoundError: no such run, it has not ended, or for `moco` it holds no checkpoint.
        FileExistsError: a file is there with other content, and `force` is not set.
        ValueError: an unknown form, or one that this encoder cannot have.
    """
    run, out = Path(run), Path(out)
    if form not in FORMS:
        raise ValueError(f"form {form!r} of an export is not known; allowed: {', '.join(FORMS)}")
    encoder = load_encoder(run)
    if form != "safetensors" and not isinstance(encoder, ImageEncoder):
        kind = encoder.description["kind"]
        raise ValueError(
            f"the encoder of {run} is of kind {kind!r}: {form} is a form of a single ResNet; allowed here: safetensors"
        )
    facts = read_facts(run)
    notes: list[str] = []
    if form == "moco" and isinstance(encoder, ImageEncoder):
        data, notes = moco_checkpoint(run, encoder)
    elif form == "torchvision":
        data = saved(own_names(encoder))
    else:
        data = safetensors(own_names(encoder), _metadata(encoder, facts))
    name, weights = file_name(form, encoder), fingerprint(own_names(encoder))
    text = card.model_card(facts, encoder, weights, _files(run, encoder))
    files = {name: data}
    if _kept(out / card.NAME, weights) and not force:
        notes.append(f"{card.NAME} of these weights was there already and was kept")
    else:
        files[card.NAME] = text.encode()
    written = write_files(out, files, force=force)
    told = f"{card.title(facts, encoder)}: {' and '.join(path.name for path in written)} in {out}"
    return Written(written, "; ".join([told, *notes]))


def _metadata(encoder: Encoder, facts: Facts) -> dict[str, str]:
    """Strings for the header of a safetensors file; `format` is what other libraries look for."""
    found = {"format": "pt", "arch": card.name_of(encoder), "recipe": learned(facts), "commit": commit(facts)}
    return found if isinstance(encoder, ImageEncoder) else found | {"description": json.dumps(encoder.description)}


def _files(run: Path, encoder: Encoder) -> list[str]:
    """Names of all files that the run can be exported to, so that one card does for them all."""
    if not isinstance(encoder, ImageEncoder):
        return [file_name("safetensors", encoder)]
    return [file_name(form, encoder) for form in FORMS if form != "moco" or has_moco(run)]


def _kept(path: Path, weights: str) -> bool:
    """Is the card that is there one of these weights?"""
    return path.is_file() and weights in path.read_text(errors="replace")
