"""`shards synth`, `shards shapes` and `shards build`: recordings and pictures, and what becomes of them."""

import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from dataio.audit.json_file import check_target, write_json
from dataio.audit.report import printable
from dataio.cli.common import JsonOption, on_disk, path_of, progress_bar, size


def synth(
    out: Annotated[str, typer.Argument(help="Folder for the recordings; new, empty, or an earlier run's.")],
    recordings: Annotated[int, typer.Option(help="How many scenes.")] = 8,
    seconds: Annotated[float, typer.Option(help="Length of each.")] = 16.0,
    seed: Annotated[int, typer.Option(help="Another seed, other scenes.")] = 0,
    picture: Annotated[str, typer.Option("--size", help="HEIGHTxWIDTH of the video.")] = "128x256",
    fps: Annotated[int, typer.Option(help="Frames per second of the video.")] = 8,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
) -> None:
    """Write synthetic 360° scenes with eight-ear sound and known truth, as raw recordings for `build`."""
    from dataio.ingest.scenes import write_recordings

    folder = on_disk(out, "synth")
    with progress_bar("scenes", recordings) as update:
        done = [0]

        def on_done(name: str) -> None:
            done[0] += 1
            update(done[0], name)

        write_recordings(
            folder, recordings=recordings, seconds=seconds, seed=seed, size=size(picture), fps=fps, workers=workers, on_done=on_done
        )
    print(f"{recordings} recordings of {seconds:g} s in {out}; next: sonosphere shards build {out} SHARDS")


def shapes(
    out: Annotated[str, typer.Argument(help="Folder for the pictures; new, empty, or an earlier run's.")],
    pictures: Annotated[int, typer.Option(help="How many, the held-out ones included.")] = 6000,
    seed: Annotated[int, typer.Option(help="Another seed, other pictures.")] = 0,
    side: Annotated[int, typer.Option("--size", help="Side of a picture in pixels.")] = 96,
    held_out: Annotated[float, typer.Option(help="Share of the pictures for the split val.")] = 0.2,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
) -> None:
    """Write synthetic pictures in 20 classes, a shape with a texture each, to try learning from images on.

    Five shapes (cross, disc, square, star, triangle) by four textures (checks, dots, plain, stripes), at any angle,
    in colours that have nothing to do with the class. A core makes some 300 a second of 96x96.

    OUT then holds train/disc-stripes/000012.jpg and so on, the same for val, and shapes.json when all are there. Stopped
    half-way, the same command goes on where it was. What comes next:

    sonosphere shards build OUT SHARDS --layout images
    """
    from dataio.ingest.shapes import write_pictures

    folder = on_disk(out, "shapes")
    with progress_bar("pictures", pictures) as update:
        done = [0]

        def on_done(name: str) -> None:
            done[0] += 1
            update(done[0], name)

        write_pictures(folder, pictures=pictures, seed=seed, size=side, held_out=held_out, workers=workers, on_done=on_done)
    print(f"{pictures} pictures of {side}x{side} in {out}; next: sonosphere shards build {out} SHARDS --layout images")


def build(
    source: Annotated[str, typer.Argument(help="Folder of raw recordings, or of pictures. It is only ever read.")],
    out: Annotated[
        str, typer.Argument(help="Folder or URL (s3://…) for the shards: new, empty, or an unfinished build of the same.")
    ],
    layout: Annotated[
        str, typer.Option(help="auto, folder (video + sound paired by name), omniaudio, yt360, images or synthetic.")
    ] = "auto",
    picture: Annotated[
        str | None, typer.Option("--size", help="HEIGHTxWIDTH of the stored frames; default 256x512, and as they are for images.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames stored per second; default 4.")] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            help="jpeg (the default; each a member: random access), h264, hevc, vp9, av1 (one container a clip) "
            "or copy (as recorded)."
        ),
    ] = None,
    quality: Annotated[int | None, typer.Option(help="1 … 100, of JPEGs and, by a table, of the codecs; default 90.")] = None,
    gop: Annotated[int | None, typer.Option(help="For the codecs: frames from one key frame to the next; default 8.")] = None,
    sound: Annotated[
        str | None, typer.Option(help="pcm (the default; a window is one read), or flac (smaller, read whole).")
    ] = None,
    rate: Annotated[int | None, typer.Option(help="Sample rate of the stored sound, Hz; default 96000.")] = None,
    clip_seconds: Annotated[float | None, typer.Option(help="Length of a clip; default 2.")] = None,
    flow: Annotated[bool, typer.Option("--flow", help="Also store the motion between two frames of every clip.")] = False,
    mask: Annotated[bool, typer.Option("--mask", help="Also store what moves in front of the background.")] = False,
    silence: Annotated[
        float | None,
        typer.Option(help="Leave out clips this many dB quieter than their recording's mean (the paper's authors: 17)."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Shares of the recordings; a recording is never divided. Default train=0.8,val=0.2."),
    ] = None,
    shard_bytes: Annotated[int, typer.Option(help="Size of a shard to aim at.")] = 256 * 2**20,
    allow_mono: Annotated[
        bool, typer.Option("--allow-mono", help="Copy a mono track to both ears instead of refusing it.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a recording that cannot be used.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes that encode; default 1.")] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Work on this Ray cluster instead (auto: this machine's)."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Turn recordings into shards. Stopped half-way, the same command goes on where it was.

    A recording that cannot be used is skipped, counted and named. The set exists when its manifest is written, as the last act.

    While it works, OUT needs scratch space as well, for the encoded clips of up to a few groups of 16 recordings.

    An option that would change nothing, with these recordings and the other options, is refused.
    """
    from dataio.ingest.build import BuildOptions, Progress
    from dataio.ingest.build import build as run
    from dataio.ingest.encode import EncodeOptions
    from dataio.ingest.encode.options import check_used
    from dataio.ingest.executors import executor
    from dataio.ingest.sources import layout_of

    raw = on_disk(source, "build")
    if (place := path_of(out)) and place.is_symlink() and not place.exists():
        raise ValueError(f"the output {out} is a link to nothing; choose another folder")
    check_target(json_file, raw, place)
    encoding: dict[str, Any] = {
        "seconds": clip_seconds,
        "fps": fps,
        "size": None if picture is None else size(picture),
        "rate": rate,
        "quality": quality,
        "frames": frames,
        "gop": gop,
        "sound": sound,
        "silence": silence,
    }
    typed = {option: value for option, value in encoding.items() if value is not None}
    encode = EncodeOptions(**typed, still=typed.get("size"), flow=flow, mask=mask)
    if workers is not None and ray is not None:
        raise ValueError("--workers does nothing beside --ray: the cluster says how many there are")
    layout = layout_of(raw, layout)
    chosen = {"split": split, "flow": flow or None, "mask": mask or None, "allow_mono": allow_mono or None}
    check_used([*typed, *(option for option, value in chosen.items() if value is not None)], layout, encode.frames)
    options = BuildOptions(encode=encode, layout=layout, shard_bytes=shard_bytes, allow_mono=allow_mono)
    if split is not None:
        options = replace(options, split=split)
    what = "pictures" if layout == "images" else "clips"
    with progress_bar("build", 1000) as update:

        def on_progress(p: Progress) -> None:
            rates = f"{p.clips / max(1e-3, p.seconds):.1f} {what}/s, {p.bytes / max(1e-3, p.seconds) / 2**20:.1f} MiB/s"
            note = f"{p.done} of {p.total}, {p.clips} {what}, {rates}" + (f"; skipped {p.name}" if p.skipped else "")
            update(int(1000 * p.share), note)

        try:
            report = run(raw, out, options, executor(1 if workers is None else workers, ray), on_progress, strict=strict)
        except KeyboardInterrupt:
            print("interrupted; what is finished stays, and the same command goes on", file=sys.stderr)
            raise typer.Exit(130) from None
    for name, reason in report["skipped"].items():
        print(printable(f"skipped {name}: {reason}"), file=sys.stderr)
    if report["broken"]:
        print(printable(f"left out {len(report['broken'])} broken pictures, the first: {report['broken'][0]}"), file=sys.stderr)
    if json_file != "-":
        print(_built(report, what))
    write_json(report, json_file)


def _built(report: dict[str, Any], what: str) -> str:
    """What a build says at its end. what: `clips`, of recordings, or `pictures`, which have neither recordings nor ends."""
    splits = ", ".join(f"{count} {name}" for name, count in report["splits"].items())
    tail, silent = sum(report["tail_seconds"].values()), sum(report["silent"].values())
    dropped = f"; {silent} silent clips left out" if silent else ""
    already = ""
    if report.get("touched"):
        already = "; it was there already; files of the source were touched since, and nothing was done"
    elif report.get("already"):
        already = "; it was there already, nothing was done"
    of = f" of {report['recordings']} recordings" if what == "clips" else ""
    ends = f"; {tail:.2f} s at the ends dropped" if what == "clips" else ""
    return (
        f"{report['clips']} {what} ({splits}){of} in {report['shards']} shards, "
        f"{report['bytes'] / 2**20:.1f} MiB; {len(report['skipped'])} skipped{ends}{dropped}{already}"
    )
