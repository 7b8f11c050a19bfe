"""`sonosphere train`, `evaluate`, `detect`, `export` and `import`. Nothing heavy is imported before a command runs."""

import typer

from train.cli.evaluating import detect, evaluate
from train.cli.exchanging import export, import_
from train.cli.training import train


def register(app: typer.Typer) -> None:
    """Add this room's commands to the front door."""
    for command in (train, evaluate, detect, export):
        app.command()(command)
    app.command("import")(import_)
