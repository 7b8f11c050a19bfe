"""From an encoder to COCO's figures: train the detector, then judge it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch.distributed as dist

from models.encoder import Encoder
from models.image import ImageEncoder
from train.downstream.detection.annotations import Annotations, read_annotations
from train.downstream.detection.claim import start_of, write_text
from train.downstream.detection.data import Picture, check_files, pictures_of, read_training_set
from train.downstream.detection.fit import fit
from train.downstream.detection.judge import Found, average_precision, check_objects, detections
from train.downstream.detection.picture import draw
from train.downstream.detection.settings import Detection
from train.interrupt import Interrupt
from train.world import World, join_world, torch_threads

RESULT, PICTURE = "result.json", "figure.png"


def detect(settings: Detection, encoder: Encoder | None = None) -> tuple[dict[str, Any] | None, int]:
    """Train Mask R-CNN from an encoder in `settings.run`, or go on with it, and judge it on the held-out pictures.

    A finished training is judged again at once. Under torchrun all processes call this.

    Args:
        encoder: whose weights the backbone starts from; it is left as it is. None: a random backbone.

    Returns:
        the result (None if the training was interrupted), which run/result.json holds too, beside run/figure.png; and the exit
        code, 0 or that of the signal. Of several processes all return it, and the first writes.

    Raises:
        FileNotFoundError, ValueError: the annotations, a picture, a setting, the run folder, or an encoder that is no ResNet.
        RuntimeError: the loss is no longer finite; the checkpoint before it stays.
    """
    if encoder is not None and not isinstance(encoder, ImageEncoder):
        raise ValueError(
            f"an encoder of kind={encoder.description['kind']!r} cannot carry a detector; allowed: 'image', one ResNet alone"
        )
    for folder in (settings.data.train_pictures, settings.data.val_pictures):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not there: it should be a folder of pictures")
    held_out = read_annotations(settings.data.val)
    learnt = read_training_set(settings.data.train)
    if learnt.categories != held_out.categories:
        raise ValueError(f"{settings.data.train} and {settings.data.val} have different categories: what is learned must be judged")
    check_objects(held_out)
    pictures = pictures_of(held_out, learnt=False)
    check_files(settings.data.val_pictures, pictures)  # before hours of training, not after
    with torch_threads(settings.compute_threads), join_world(settings.device) as world, Interrupt() as interrupt:
        model, code = fit(settings, learnt, encoder, world, interrupt)
        if code:
            return None, code
        found = detections(
            model, settings.data.val_pictures, pictures, list(held_out.categories), world, lambda: interrupt.signal is not None
        )
        if found is None:
            return None, interrupt.exit_code
        result = {
            "task": "coco",
            "backbone": encoder.kind if encoder else settings.backbone,
            "start": start_of(encoder),
            "seed": settings.seed,
            "steps": settings.optim.steps,
            "joint_batch": settings.data.batch_size * world.size,
            "data": str(settings.data.val),
            "pictures": len(pictures),
        }
        return _judge(found, settings, result, held_out, pictures, world), 0


def _judge(
    found: Sequence[Found],
    settings: Detection,
    result: dict[str, Any],
    held_out: Annotations,
    pictures: Sequence[Picture],
    world: World,
) -> dict[str, Any]:
    """The result with COCO's figures, written and drawn by the first process and known to all."""
    shared = [result]
    if world.first:
        shared[0] = result = {**result, **average_precision(held_out, found)}
        write_text(settings.run / RESULT, json.dumps(result, indent=2) + "\n")
        with suppress(ModuleNotFoundError):  # no Matplotlib, as on a machine that only computes: the figures are there
            draw(settings.data.val_pictures, pictures, found, held_out.categories, result, settings.run / PICTURE)
    if world.size > 1:
        dist.broadcast_object_list(shared)
    return shared[0]
