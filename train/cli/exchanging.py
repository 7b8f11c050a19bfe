"""`sonosphere export` and `sonosphere import`."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or of an imported encoder.")],
    out: Annotated[Path, typer.Argument(help="Folder to write into.")],
    form: Annotated[
        str,
        typer.Option("--format", help="torchvision (timm takes it too), safetensors, or moco: a checkpoint of the official code."),
    ] = "torchvision",
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write the encoder of a run in a form that others load, with a model card: recipe, data, commit, figures, how to load it."""
    from train.exchange import export as write

    typer.echo(write(run, out, form, force=force).sentence)  # type: ignore[arg-type]  # it says itself what forms there are


def import_(
    file: Annotated[Path, typer.Argument(help="A checkpoint of the official MoCo code, a state dict of a ResNet, or one of ours.")],
    run: Annotated[Path, typer.Argument(help="Folder to make: `evaluate` and `detect` find an encoder in it.")],
    force: Annotated[bool, typer.Option("--force", help="Write over an encoder that is there.")] = False,
) -> None:
    """Take over weights that somebody else trained, so that they can be evaluated here. Executes nothing that the file holds."""
    from train.exchange import import_encoder

    typer.echo(import_encoder(file, run, force=force).sentence)
