"""The model card: Markdown under a head of YAML, as model hubs want it, made only of what the run folder records."""

from typing import Any

import yaml

from dataio.stream.kernels.rotate import MEAN, STD
from models.encoder import Encoder
from models.image import STRIDE, ImageEncoder
from train.exchange.facts import Facts, printed
from train.exchange.loading import ways
from train.exchange.markdown import block, code, escaped
from train.exchange.training import fingerprints, learned, measured, training, untested

NAME = "README.md"


def model_card(facts: Facts, encoder: Encoder, weights: str, files: list[str]) -> str:
    """The whole card. It holds no path and no time of day: the same run gives the same text.

    Args:
        weights: fingerprint of the encoder's weights (see `train.exchange.tensors`), by which card and files are told to belong
            together. files: names of the files beside the card that it tells how to load.
    """
    parts = [
        _head(facts, encoder),
        f"# {escaped(title(facts, encoder))}",
        _what(facts, encoder),
        f"SHA-256 of the names, types, shapes and values of its weights: `{weights}`.",
        "## How to load it",
        "Of these files, those lie here that were exported; all hold the same encoder." if len(files) > 1 else "",
        *(f"{heading}:\n\n{block(python, 'python')}" for heading, python in ways(encoder, files)),
        "## How it was trained",
        *training(facts),
        "## What was measured",
        measured(facts),
        "## What it was not tested for",
        untested(facts, pictures=sees(encoder)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def title(facts: Facts, encoder: Encoder) -> str:
    """`moco, resnet50`; `incremental of moco and densecl, resnet50`."""
    return f"{learned(facts)}, {name_of(encoder)}"


def name_of(encoder: Encoder) -> str:
    """`resnet50`, or the kind of another encoder."""
    return encoder.kind if isinstance(encoder, ImageEncoder) else str(encoder.description["kind"])


def sees(encoder: Encoder) -> bool:
    """Whether it is one of pictures, be it made of several."""
    return any(isinstance(part, ImageEncoder) for part in encoder.modules())


def _head(facts: Facts, encoder: Encoder) -> str:
    tags = ["self-supervised-learning", "pictures" if sees(encoder) else "sound", name_of(encoder)]
    if (recipe := facts.recipe) is not None:
        single = recipe.method.name == "single"
        tags += [recipe.objective.name] if single else [recipe.method.name, *recipe.method.tasks]
    library = "timm" if isinstance(encoder, ImageEncoder) else "sonosphere"
    head: dict[str, Any] = {"library_name": library, "tags": list(dict.fromkeys(tags))}
    if prints := fingerprints(facts):
        head["dataset_fingerprints"] = prints
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n# license: to be chosen by whoever publishes the weights; the licences of their data count too\n{text}---"


def _what(facts: Facts, encoder: Encoder) -> str:
    made = "" if facts.recipe is None else " that learned without labels"
    built = f" Sonosphere builds it from this description: {code(printed(encoder.description))}."
    if not sees(encoder):
        return (
            f"An encoder of sound{made}: from natural logarithms of power (B, ears, frequencies, columns) to a map "
            f"(B, {encoder.out_channels}, …).{built}"
        )
    mean, std = (", ".join(map(str, numbers)) for numbers in (MEAN, STD))
    alone = isinstance(encoder, ImageEncoder)
    what = f"A {name_of(encoder)} without its classifier" if alone else "ResNets side by side"
    return (
        f"{what}{made}: from pictures (B, 3, H, W), RGB in [0, 1], less the mean ({mean}) and divided by ({std}), to a map "
        f"(B, {encoder.out_channels}, H / {STRIDE}, W / {STRIDE}), rounded up.{'' if alone else built}"
    )
