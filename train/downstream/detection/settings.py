"""What a recipe of detection may say: the pictures, the schedule, their defaults and limits."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from train.recipe import Positive, Settings, Share, flat

NotNegative = Annotated[float, Field(ge=0)]
Folder = Annotated[Path, BeforeValidator(str)]
"""YAML reads a folder named 2017 as a number."""


class Coco(Settings):
    """A data set in COCO's format, and how its pictures enter the network.

    train, val: annotation files, `instances_….json`. train_pictures, val_pictures: the folders that their `file_name`s start from.
    min_size: pixels that the shorter side is resized to, one of these for each training picture by chance, the last of them in
        evaluation. max_size: that the longer side does not exceed, whatever the shorter one then is.
    flip: share of the training pictures that are mirrored.
    """

    train: Folder = Path("coco/annotations/instances_train2017.json")
    train_pictures: Folder = Path("coco/train2017")
    val: Folder = Path("coco/annotations/instances_val2017.json")
    val_pictures: Folder = Path("coco/val2017")
    batch_size: Positive = 2  # pictures of one process; torchrun multiplies it
    threads: Positive = 4  # of one process, that read pictures ahead
    min_size: Annotated[tuple[Positive, ...], Field(min_length=1)] = (800,)
    max_size: Positive = 1333
    flip: Share = 0.5

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if max(self.min_size) > self.max_size:
            raise ValueError(f"min_size={list(self.min_size)} must not exceed max_size={self.max_size}")
        return self


class Heads(Settings):
    """Sizes of the detector beyond the backbone; the defaults are the published ones.

    channels: of the pyramid and of the heads' convolutions. convolutions: of each head. hidden: of the box head's linear layer.
    proposals: kept of a picture, in training and in evaluation. samples: of them, those that a picture's loss is computed on.
    """

    channels: Positive = 256
    convolutions: Positive = 4
    hidden: Positive = 1024
    proposals: Positive = 1000
    samples: Positive = 512


class Schedule(Settings):
    """SGD; the learning rate warms up linearly from `warmup_factor` times its value and is divided by ten at each milestone.

    lr: for a joint batch of `lr_batch` pictures, of all processes; it is scaled in proportion to what the joint batch is.
    """

    lr: Annotated[float, Field(gt=0)] = 0.02
    lr_batch: Positive = 16
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NotNegative = 1e-4  # of all but the gains and shifts of batch norm
    warmup_steps: Annotated[int, Field(ge=0)] = 1000
    warmup_factor: Share = 0.001
    milestones: tuple[Positive, ...] = (60_000, 80_000)
    steps: Positive = 90_000
    grad_clip: NotNegative = 0.0  # largest norm of the whole gradient; 0: unlimited

    @model_validator(mode="after")
    def _order(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones={list(self.milestones)} must rise")
        return self


class Detection(Settings):
    """A whole training of Mask R-CNN, and its evaluation."""

    data: Coco = Coco()
    backbone: Literal["resnet18", "resnet50"] = "resnet50"  # of a random start; an encoder that is given brings its own
    heads: Heads = Heads()
    optim: Schedule = Schedule()
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_threads: Positive | None = None  # of torch, on the CPU; null: torch's own choice, all cores
    seed: int = 0
    run: Folder = Path("runs/coco")
    checkpoint_every: Positive = 2500  # steps
    log_every: Positive = 20  # steps between writes of the log; every step is in it


FREE = (
    *("data.train", "data.train_pictures", "data.val", "data.val_pictures", "data.threads"),  # a checksum tells the training set
    *("run", "device", "checkpoint_every", "log_every", "compute_threads"),
)
"""Settings that may change when a training is resumed: they do not change what is learned."""


def differences(old: Detection, new: Detection) -> list[str]:
    """What keeps `new` from going on where `old` stopped, as `optim.lr: 0.02 there, 0.01 here`."""
    was, now = (flat(settings) for settings in (old, new))
    return [f"{key}: {was.get(key)} there, {now.get(key)} here" for key in was if key not in FREE and was[key] != now.get(key)]
