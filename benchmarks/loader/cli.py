"""What `sonosphere bench` measures of the loader. Nothing heavy is imported before a command runs."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common import bench, cores, say, shards_or_standard, spec_of
from dataio.audit.json_file import check_target, write_json
from dataio.cli.common import JsonOption

Shards = Annotated[Path | None, typer.Option(help="A shard set; default: standard clips, synthesised for the occasion.")]
Pairs = Annotated[str, typer.Option(help="Pairs, comma-separated; all: all that are stored.")]
Frames = Annotated[int | None, typer.Option(help="Frames a clip; default: all that are stored.")]
Size = Annotated[str | None, typer.Option("--size", help="HEIGHTxWIDTH of the batch; default: as stored.")]
BatchSize = Annotated[int, typer.Option(help="Clips a batch.")]
Threads = Annotated[int | None, typer.Option(help="Default: all cores.")]
Rounds = Annotated[int, typer.Option(help="How often each contender has its turn.")]


@bench.command()
def stages(
    shards: Annotated[Path | None, typer.Option(help="A shard set; default: standard clips, synthesised for the occasion.")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames a clip; default: all that are stored.")] = None,
    picture: Annotated[str | None, typer.Option("--size", help="HEIGHTxWIDTH of the batch; default: as stored.")] = None,
    pairs: Pairs = "front",
    reduced: Annotated[bool, typer.Option("--reduced", help="Decode at reduced scale where --size allows.")] = False,
    batch_size: Annotated[int, typer.Option(help="Clips a batch.")] = 16,
    threads: Annotated[int | None, typer.Option(help="Default: all cores.")] = None,
    rounds: Rounds = 5,
    seconds: Annotated[float, typer.Option(help="Of a turn.")] = 2.0,
    device: Annotated[str, typer.Option(help="Of the loader: cpu or cuda.")] = "cpu",
    json_file: JsonOption = None,
) -> None:
    """Each stage of the loader alone, the ceiling that they set, and the loader's share of it."""
    check_target(json_file)
    from benchmarks.loader.stages import stages as measure

    with shards_or_standard(shards) as where:
        spec = spec_of(where, frames, picture, pairs, reduced)
        result = measure(
            where, spec, batch_size=batch_size, threads=threads or cores(), rounds=rounds, seconds=seconds, device=device, say=say
        )
    out = typer.echo if json_file != "-" else say
    for stage, contenders in result["stages"].items():
        for name, rate in contenders.items():
            mark = "*" if result["fastest"][stage] == name else " "
            out(f"{mark} {stage:12} {name:42} {rate['median']:8.0f} clips/s  ({rate['min']:.0f} – {rate['max']:.0f})")
    made = "decode + rotate + spectrogram"
    out(f"ceiling {result['ceiling']:.0f} clips/s ({made}); loader {result['loader']:.0f}: {result['share']:.0%}")
    write_json(result, json_file)


@bench.command()
def loader(
    shards: Annotated[str | None, typer.Option(help="A shard set, or a URL; default: standard clips.")] = None,
    frames: Frames = None,
    picture: Size = None,
    pairs: Pairs = "front",
    batch_size: BatchSize = 16,
    threads: Threads = None,
    readers: Annotated[int | None, typer.Option(help="Threads that only read; default: none for folders, 16 for URLs.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps the shards of a URL.")] = None,
    cache_gib: Annotated[float, typer.Option(help="That it may take up.")] = 32.0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    trace: Annotated[Path | None, typer.Option(help="Write the times of all stages, for ui.perfetto.dev.")] = None,
    seconds: Annotated[float, typer.Option(help="How long.")] = 20.0,
    json_file: JsonOption = None,
) -> None:
    """The loader alone, on a set of yours: clips per second, what limits it, and a trace to look at."""
    check_target(json_file)
    from benchmarks.loader.pace import pace
    from dataio import Cache, ClipLoader

    with shards_or_standard(shards) as where:
        spec = spec_of(where, frames, picture, pairs)
        kept = Cache(cache, round(cache_gib * 2**30)) if cache else None
        with ClipLoader(
            where,
            spec,
            batch_size=batch_size,
            threads=threads or cores(),
            readers=readers,
            device=device,
            cache=kept,
            trace=trace,
        ) as made:
            result = pace(made, seconds=seconds, say=say)
    out = typer.echo if json_file != "-" else say
    for name, stage in result["report"]["stages"].items():
        out(f"{name:12} median {stage['median_ms']:8.2f} ms   p95 {stage['p95_ms']:8.2f} ms   p99 {stage['p99_ms']:8.2f} ms")
    share = result["meter"]["share"]
    out(f"{result['clips_per_second']:.0f} clips/s; the meter takes {share['plain']:.2%} of it, with a trace {share['trace']:.2%}")
    out(result["report"]["verdict"])
    write_json(result, json_file)


@bench.command()
def peers(
    shards: Shards = None,
    pairs: Pairs = "front",
    batch_size: BatchSize = 16,
    workers: Annotated[
        int | None, typer.Option(help="Threads of the loader, and processes of the others; default: all cores.")
    ] = None,
    rounds: Rounds = 5,
    json_file: JsonOption = None,
) -> None:
    """The loader against a torch DataLoader and webdataset's, on the same shards, with the same tensors as the result."""
    check_target(json_file)
    from benchmarks.loader.peers import peers as measure

    with shards_or_standard(shards) as where:
        spec = spec_of(where, None, None, pairs)
        result = measure(where, spec, batch_size=batch_size, workers=workers or cores(), rounds=rounds, say=say)
    out = typer.echo if json_file != "-" else say
    for name, rate in result["clips_per_second"].items():
        times = f"the loader is {result['times'][name]:.1f} times as fast" if name in result["times"] else ""
        out(f"{name:46} {rate['median']:7.1f} clips/s  ({rate['min']:.1f} – {rate['max']:.1f})  {times}")
    equal = result["equal"]
    out(f"tensors differ by {equal['grey_levels_999']:.2f} grey levels (99.9 %) and {equal['sound_relative']:.1e} of the sound")
    write_json(result, json_file)


@bench.command()
def scale(
    folder: Annotated[Path | None, typer.Option(help="Where to write the manifest; default: the temporary folder.")] = None,
    shards: Annotated[int, typer.Option(help="Of the set.")] = 1_000_000,
    clips: Annotated[int, typer.Option(help="Of a shard.")] = 1000,
    rounds: Annotated[int, typer.Option(help="Random positions.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the positions.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Open a set of a million shards and a billion clips, plan a step, and go on from a random position, in fresh processes."""
    check_target(json_file)
    import tempfile

    from benchmarks.loader.scale import scale as measure

    with tempfile.TemporaryDirectory(dir=folder) as place:
        result = measure(Path(place), shards=shards, clips=clips, rounds=rounds, seed=seed)
    out = typer.echo if json_file != "-" else say
    for kind, words in (("plan", "open and plan a step"), ("restore", "open, restore and deliver a batch")):
        worst = result["worst"][kind]
        memory = f"{worst['peak_mib']:.0f} MiB at most, {worst['above_imports_mib']:.0f} of them not the imports'"
        out(f"{words:34} {worst['seconds']:.2f} s at worst of {rounds}; {memory}")
    write_json(result, json_file)


@bench.command()
def resume(
    shards: Shards = None,
    places: Annotated[int, typer.Option(help="Random places at which a run stops.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the places.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Order files of 1 to 8 ranks with 1 to 8 threads, and resumes at random places with other ranks and batch sizes, audited."""
    check_target(json_file)
    from dataclasses import replace

    from benchmarks.loader.resume import resume as measure

    with shards_or_standard(shards) as where:
        full = spec_of(where, 1, None, "front")
        spec = replace(full, frames=0, yaw_classes=None, sound_seconds=min(0.1, full.sound_seconds))
        result = measure(where, spec, places=places, seed=seed, say=say)
    out = typer.echo if json_file != "-" else say
    same = "all the same" if result["same"] else "THEY DIFFER"
    out(f"{len(result['order_files'])} order files of {result['clips']} clips: {same}")
    out(
        f"{result['resumes']} resumes: {result['lost']} clips lost, {result['repeated']} repeated, {result['reordered']} runs in "
        f"another order; {result['restore_seconds']['median'] * 1e3:.0f} ms to the first batch"
    )
    write_json(result, json_file)
    if not result["same"] or result["lost"] or result["repeated"] or result["reordered"]:
        raise typer.Exit(1)


@bench.command()
def endurance(
    shards: Shards = None,
    minutes: Annotated[float, typer.Option(help="How long.")] = 30.0,
    frames: Frames = None,
    picture: Size = None,
    pairs: Pairs = "front",
    batch_size: BatchSize = 16,
    threads: Threads = None,
    breaks: Annotated[int, typer.Option(help="Break off and resume after so many batches; 0: never.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Iterate for minutes: does memory grow, is a descriptor or a thread lost?"""
    check_target(json_file)
    from benchmarks.loader.endurance import endurance as measure

    with shards_or_standard(shards) as where:
        spec = spec_of(where, frames, picture, pairs)
        sizes = {"batch_size": batch_size, "threads": threads or cores()}
        result = measure(where, spec, **sizes, minutes=minutes, breaks=breaks, say=say)
    out = typer.echo if json_file != "-" else say
    m, d, t = result["mib"], result["descriptors"], result["threads"]
    memory = f"memory {m['first']:.0f}, settled {m['settled']:.0f}, last {m['last']:.0f} MiB"
    out(f"{result['clips']} clips in {minutes:g} minutes; {memory}")
    kept = f"descriptors {d['first']} → {d['last']}, threads {t['first']} → {t['last']}"
    out(f"slope {result['slope_mib_per_minute']:+.3f} MiB/min; {kept}")
    write_json(result, json_file)


@bench.command()
def shuffle(
    shards: Annotated[Path | None, typer.Option(help="A shard set; default: a population like OmniAudio's.")] = None,
    split: Annotated[str | None, typer.Option(help="Of the set.")] = None,
    batch_size: Annotated[int, typer.Option(help="Clips a batch, over all ranks.")] = 32,
    batches: Annotated[int, typer.Option(help="Counted for each window.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the order.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """How well the order mixes for windows of 1 to 32 shards: pairs of one recording in a batch, against a perfect shuffle."""
    check_target(json_file)
    from benchmarks.loader import shuffle as mixing

    populations = [mixing.stored(shards, split)] if shards else [mixing.like_omniaudio(), mixing.like_omniaudio(mixing.ONE_PAIR)]
    result = mixing.shuffle(populations, batch=batch_size, windows=mixing.WINDOWS, batches=batches, seed=seed, say=say)
    for line in mixing.lines(result):
        (typer.echo if json_file != "-" else say)(line)
    write_json(result, json_file)


@bench.command()
def images(
    shards: Annotated[
        Path | None, typer.Option(help="A set of pictures; default: photographs, synthesised for the occasion.")
    ] = None,
    picture: Annotated[str, typer.Option("--size", help="HEIGHTxWIDTH of those photographs.")] = "375x500",
    batch_size: BatchSize = 64,
    threads: Threads = None,
    rounds: Rounds = 7,
    seconds: Annotated[float, typer.Option(help="Of a turn.")] = 2.0,
    json_file: JsonOption = None,
) -> None:
    """MoCo-v2's views of pictures: the loader against its ceiling, against DALI alone, and against torchvision's."""
    check_target(json_file)
    import tempfile

    from benchmarks.images import images as measure
    from benchmarks.images.photos import photo_set
    from dataio.cli.common import size

    with tempfile.TemporaryDirectory() as folder:
        if shards is None:
            say(f"synthesising photographs of {picture}")
            shards = photo_set(Path(folder), size=size(picture))
        result = measure(shards, batch_size=batch_size, threads=threads or cores(), rounds=rounds, seconds=seconds, say=say)
    out = typer.echo if json_file != "-" else say
    for name, rate in result["pictures_per_second"].items():
        times = f"the loader is {result['times'][name]:.1f} times as fast" if name in result["times"] else ""
        out(f"{name:56} {rate['median']:7.0f} pictures/s  ({rate['min']:.0f} – {rate['max']:.0f})  {times}")
    out(f"ceiling {result['ceiling']:.0f} pictures/s (decode + views); the loader reaches {result['share']:.0%}")
    write_json(result, json_file)
