"""The front door: one command line, composed of the apps of the rooms below."""

import io
import sys
from typing import Annotated

import typer

import benchmarks.cli
import dataio.cli
import train.cli
from dataio.audit.report import printable

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="360° video and binaural sound, from raw recordings to learned representations, at the speed of the hardware.",
)
app.add_typer(dataio.cli.app, name="shards")
train.cli.register(app)
benchmarks.cli.register(app)


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """Options of every command."""


def main() -> None:
    """Run the command line. An error is one sentence on standard error and exit status 1; `--debug` shows where it came from."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be valid text, and must not end a command that is done
        sys.stdout.reconfigure(errors="backslashreplace")
    if "--debug" in sys.argv:  # wherever it stands
        sys.argv = [sys.argv[0], *(arg for arg in sys.argv[1:] if arg != "--debug")]
        return app()
    try:
        app()
    except (ValueError, OSError, RuntimeError) as error:
        print(printable(f"sonosphere: {' '.join(str(error).split())}"), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
