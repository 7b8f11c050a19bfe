"""`sonosphere bench build` and `bench index`. Nothing heavy is imported before a command runs."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common import bench, say
from dataio.audit.json_file import check_target, write_json
from dataio.cli.common import JsonOption, size


@bench.command()
def build(
    source: Annotated[str, typer.Option("--source", metavar="HEIGHTxWIDTH", help="Of the recordings.")] = "960x1920",
    recordings: Annotated[int, typer.Option(help="How many.")] = 8,
    seconds: Annotated[float, typer.Option(help="Length of each.")] = 16.0,
    fps: Annotated[int, typer.Option(help="Of their video.")] = 30,
    gop: Annotated[int, typer.Option(help="Frames from one key frame to the next.")] = 30,
    b_frames: Annotated[int, typer.Option(help="B-frames between two others.")] = 0,
    rounds: Annotated[int, typer.Option(help="How often everything has its turn.")] = 3,
    memory: Annotated[
        float | None, typer.Option(metavar="HOURS", help="Instead: peak memory for one 4K recording of so many hours.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """The builder with one worker and with two, against an ideal one that only decodes, scales, encodes and reads sound."""
    check_target(json_file)
    import tempfile

    out = typer.echo if json_file != "-" else say
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as folder:
        if memory is not None:
            from benchmarks.builder.memory import memory as measure_memory

            result = measure_memory(Path(folder), hours=memory, size=(1920, 3840), fps=5)
            out(
                f"{result['clips']} clips of a {memory:g} h recording, 3840x1920 at 5 frames/s with B-frames and four pairs at "
                f"48 kHz: {result['above_mib']:.0f} MiB above the {result['imports_mib']:.0f} MiB of the imports"
            )
        else:
            from benchmarks.builder.measure import measure

            result = measure(
                Path(folder),
                source=size(source),
                recordings=recordings,
                seconds=seconds,
                fps=fps,
                gop=gop,
                b_frames=b_frames,
                rounds=rounds,
                say=say,
            )
            for stage, contenders in result["stages"].items():
                for name, rate in contenders.items():
                    mark = "*" if result["fastest"][stage] == name else " "
                    out(f"{mark} {stage:8} {name:32} {rate['median']:9.1f} clips/s  ({rate['min']:.1f} – {rate['max']:.1f})")
            out(f"ideal {result['ideal']:.2f} clips/s; one worker {result['one_worker']:.2f}: {result['share']:.0%} of it")
            out(f"two workers {result['two_workers']:.2f} clips/s: {result['speed_up']:.2f} times one")
    write_json(result, json_file)


@bench.command()
def index(
    folder: Annotated[Path | None, typer.Option(help="On the disk to be measured; default: the temporary folder.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each contender has its turn.")] = 9,
    scale: Annotated[float, typer.Option(help="Of the number of members; 1 needs 1.7 GB.")] = 1.0,
    json_file: JsonOption = None,
) -> None:
    """Indexing against plain reading and DALI's wds2idx, on the same tars."""
    check_target(json_file)
    import tempfile

    from benchmarks.index import index as measure

    result = measure(folder or Path(tempfile.gettempdir()), rounds=rounds, scale=scale, say=say)
    out = typer.echo if json_file != "-" else say
    for name, s in result["sets"].items():
        out(f"{name} ({s['members']} in {s['tars']} tars, {s['bytes'] / 1e9:.2f} GB)")
        for contender, t in s["contenders"].items():
            spread = f"({t['min'] * 1e3:.1f} – {t['max'] * 1e3:.1f})"
            out(f"  {contender:30} {t['median'] * 1e3:8.1f} ms  {spread}  {t['gb_per_s']:.2f} GB/s")
        out(
            f"  with checksums {s['of_read']:.0%} of plain reading and {s['times_wds2idx']:.1f} times as fast as wds2idx; "
            f"headers only {s['headers_times_wds2idx']:.1f} times"
        )
    write_json(result, json_file)
