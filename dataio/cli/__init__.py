"""`sonosphere shards …`: recordings into shards. Nothing heavy is imported before a command runs."""

import typer

from dataio.cli import look, make

app = typer.Typer(no_args_is_help=True, help="Make shards from recordings, and look into them.")
for command in (make.synth, make.shapes, make.build, look.verify, look.index, look.info, look.inspect, look.stats):
    app.command()(command)
