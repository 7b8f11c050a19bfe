"""`sonosphere evaluate` and `sonosphere detect`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

PICTURES = ("knn", "voc07")
TASKS = ("spatial", "sp", "s3r", "vr", *PICTURES)


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="sp, s3r, vr: settings that replace those of the run's recipe."),
    ] = None,
    task: Annotated[str, typer.Option(help=f"What to evaluate: {', '.join(TASKS)}.")] = "spatial",
    supervised: Annotated[
        bool,
        typer.Option(
            "--supervised",
            help="sp, s3r, vr: train a new encoder with the head, by the recipe of RUN: what learning from truth alone comes to.",
        ),
    ] = False,
    data: Annotated[
        str | None, typer.Option(help="Shards, by default those it was trained on; for voc07 the folder of VOCdevkit.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the shards whose clips are held out.")] = "val",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result there; - for standard output.")] = None,
) -> None:
    """Evaluate a run on what it did not train on: recordings, or pictures.

    spatial: which way was the picture turned against the sound? The run's own heads, with controls; needs a run of that task.

    The others judge the sound encoder of any run, frozen. They train a head for it in RUN/TASK (RUN/TASK-supervised), go on where
    that stopped, and write result.json and figure.png there; a finished one is judged again at once.

    sp: semantic prediction. What sounds where? A map of classes over the sphere, from sound alone. Figure of merit: mIoU over the
    true foreground. Needs class maps beside the recordings (`labels`).

    s3r: spatial sound super resolution. What would other pairs of ears hear? From the pair of data.pairs to those of
    downstream.targets. Figure of merit: STFT distance. Needs those pairs.

    vr: video retrieval. Which of all held-out clips does a sound belong to? Figure of merit: percent of sounds whose clip is among
    the first 10. Needs pictures and sound only.

    knn: encoders of pictures. How often the nearest pictures of the training split tell the class of a held-out one.

    voc07: encoders of pictures. Linear SVMs on frozen features by the protocol of the field, on --data, the folder that holds
    VOCdevkit/VOC2007. Figure of merit: mean average precision. Writes RUN/voc07/result.json.

    Also under torchrun: torchrun --nproc-per-node 8 -m sonosphere evaluate RUN --task sp
    """
    if task not in TASKS:
        raise ValueError(f"--task {task!r} is not known; allowed: {', '.join(TASKS)}")
    if task == "spatial":
        if settings or supervised:
            given = "--supervised" if supervised else f"{settings[0]!r}" if settings else ""
            raise ValueError(f"{given} is for --task sp, s3r or vr: spatial evaluates the run's own heads as they are")
        _spatial(run, data, split, json_file)
        return
    if task in PICTURES:
        _pictures(run, task, settings or [], data, split, json_file)
        return
    from train.downstream.command import first_process, judge_run, sentence

    found, result = judge_run(run, task, settings or [], supervised=supervised, data=data, split=split)
    if found is None:
        raise typer.Exit(result.exit_code)
    if first_process():
        _tell(found, sentence(found, result.run), json_file)


def detect(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe (coco-1x, coco-tiny) or path of a YAML file.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that replace the recipe's.")
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="Folder of a run, whose encoder of pictures it starts from; by default a random one.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result there; - for standard output.")] = None,
) -> None:
    """Train a detector on data in COCO's format from an encoder of pictures, and judge it: box and mask AP.

    Mask R-CNN on a feature pyramid; all of the backbone learns. Goes on by itself where its run folder shows that it stopped.
    Writes result.json and figure.png there.

    sonosphere detect coco-1x --encoder runs/images run=runs/coco data.train=COCO/annotations/instances_train2017.json …

    Also under torchrun: torchrun --nproc-per-node 8 -m sonosphere detect coco-1x --encoder runs/images
    """
    from train.downstream.command import first_process
    from train.downstream.detection.run import detect as judge
    from train.downstream.detection.settings_file import load_detection
    from train.encoder_file import load_encoder

    loaded = load_detection(recipe, settings or [])
    found, code = judge(loaded, load_encoder(encoder) if encoder else None)
    if found is None:
        raise typer.Exit(code)
    if first_process():
        box, mask = (100 * found[f"{what}_ap"] for what in ("box", "mask"))
        _tell(found, f"coco on {found['pictures']} pictures: box AP {box:.1f}, mask AP {mask:.1f}; {loaded.run}", json_file)


def _pictures(run: Path, task: str, settings: list[str], data: str | None, split: str, json_file: Path | None) -> None:
    from train.downstream.images.command import judge_pictures

    found, line = judge_pictures(run, task, settings, data=data, split=split, say=lambda text: typer.echo(f"· {text}", err=True))
    _tell(found, line, json_file)


def _spatial(run: Path, data: str | None, split: str, json_file: Path | None) -> None:
    from train.evaluate import evaluate_spatial

    result = evaluate_spatial(run, data=data, split=split)
    swapped = result.accuracy_without_sound
    _tell(
        result.as_dict(),
        f"{result.clips} clips at {result.yaw_classes} yaws: accuracy {result.accuracy:.3f}, with the sound of another recording "
        f"{'not possible (there is one only)' if swapped is None else f'{swapped:.3f}'}, "
        f"with noise for video {result.accuracy_without_video:.3f}",
        json_file,
    )


def _tell(result: dict[str, Any], line: str, json_file: Path | None) -> None:
    """The result as JSON on standard output, or in a file and the line on standard output."""
    text = json.dumps(result, indent=2)
    if str(json_file) == "-":
        typer.echo(text)
        return
    if json_file is not None:
        json_file.write_text(text + "\n")
    typer.echo(line)
