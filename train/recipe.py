"""What a recipe may say: the settings of a training run, their types, defaults and limits."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Pair = Literal["front", "right", "back", "left"]
Task = Literal["spatial", "foreground", "motion", "gap", "moco", "densecl"]
"""A, B1, B2 and C of the paper, on sound; and two on pictures."""
PICTURE_TASKS = ("moco", "densecl")
Evaluation = Literal["sp", "s3r", "vr"]


class Settings(BaseModel):
    """A group of settings: unknown names are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Data(Settings):
    """Which clips are read, how (see `dataio.ClipLoader`), and what is made of each (see `dataio.ClipSpec`)."""

    path: str = "shards"  # a folder, or a URL
    batch_size: Positive = 32  # clips of one process; torchrun multiplies it
    threads: Positive = 2
    window: Positive = 8  # shards whose clips are shuffled together
    deadline: Annotated[float, Field(gt=0)] = 60.0  # seconds that one read may take
    cache: Path | None = None  # folder that keeps the shards of a URL
    cache_gib: Annotated[float, Field(gt=0)] = 32.0  # that it may take up
    corrupt: Annotated[float, Field(ge=0, le=1)] = (
        0.1  # share of corrupt clips that the run bears; they are listed in the run folder
    )
    trace: bool = False  # write the times of all stages into the run folder, for ui.perfetto.dev
    headspace: Annotated[int, Field(ge=0)] = (
        0  # replay so many batches for ever, to see what a faster loader would buy; learns nothing
    )
    frames: Positive = 4
    size: tuple[int, int] = (64, 128)  # height, width
    pairs: tuple[Pair, ...] = ("front", "right", "back", "left")
    sound_rate: Positive = 96_000  # Hz, that of the shards
    reach: Annotated[float, Field(gt=0)] = 60.0  # seconds, the largest gap between two slices of one recording
    sound_seconds: Annotated[float, Field(gt=0)] = 1.0
    augment: tuple[Literal["turn", "mirror"], ...] = ("turn", "mirror")


class Views(Settings):
    """How pictures are augmented (see `dataio.ViewSpec`); the defaults are MoCo-v2's.

    short: of pictures that are evaluated, the side that is resized to so many pixels, before `size` are cropped from the middle.
    progressive: up to this share of the run's steps, views are so many pixels wide; of `size` from the last share on (see
        `train.resizing`).
    """

    size: Positive = 224
    short: Positive = 256
    scale: tuple[Share, Share] = (0.2, 1.0)
    jitter: tuple[Share, Share, Share, Share] = (0.4, 0.4, 0.4, 0.1)
    jitter_p: Share = 0.8
    grey_p: Share = 0.2
    blur: tuple[float, float] = (0.1, 2.0)
    blur_p: Share = 0.5
    flip_p: Share = 0.5
    progressive: tuple[tuple[Share, Positive], ...] = ()

    @model_validator(mode="after")
    def _stages(self) -> Self:
        ends, sides = [end for end, _ in self.progressive], [side for _, side in self.progressive]
        if sorted(set(ends)) != ends or any(side > self.size for side in sides):
            raise ValueError(
                f"progressive={[list(stage) for stage in self.progressive]} must hold shares of the run that rise, each with a "
                f"side of at most size={self.size}"
            )
        return self


class Model(Settings):
    """Sizes of the encoders and of the heads (see `models`)."""

    sound_width: Positive = 64
    sound_depth: Annotated[int, Field(ge=1, le=5)] = 4
    sound_pool_time: Positive = 1
    video: Literal["azimuth", "r2plus1d", "resnet50"] = "azimuth"
    video_width: Positive = 16  # of `azimuth`; the others have their own
    subtract_mean: bool = True
    picture: Literal["resnet18", "resnet50"] = "resnet50"  # of moco and densecl
    head: Literal["correlation", "concat"] = "correlation"
    azimuths: Positive = 16
    head_channels: Positive = 32
    embedding: Positive = 128  # numbers in which sound and video are compared by the contrastive tasks


class Objective(Settings):
    """The task, and what the paper leaves open about each of them.

    `mute` (spatial) replaces one input by zeros, in training and evaluation: the control that shows what the other gives away
    alone."""

    name: Task = "spatial"
    yaw_classes: Annotated[int, Field(ge=2)] = 4  # spatial
    mute: Literal["none", "sound", "video"] = "none"
    temperature: Annotated[float, Field(gt=0)] = 0.1  # foreground, motion: τ of equation 2
    negatives: tuple[Literal["batch", "time"], ...] = ("batch", "time")  # other clips; other times of the same recording
    huber: Annotated[float, Field(gt=0)] = 1.5  # gap: ε
    signed: bool = False  # gap: also which of the two slices came first


class Contrast(Settings):
    """MoCo-v2 and DenseCL on pictures; the defaults are those of the papers, for eight GPUs.

    queue: keys of earlier batches. groups: parts of a batch that are normalised apart where one process has the whole batch.
    dense: λ of DenseCL. dense_from: the step from which it counts.
    """

    queue: Positive = 65_536
    momentum: Share = 0.999
    temperature: Annotated[float, Field(gt=0)] = 0.2
    hidden: Positive = 2048
    out: Positive = 128
    groups: Positive = 1
    dense: Share = 0.5
    dense_from: Annotated[int, Field(ge=0)] = 0


class Method(Settings):
    """Multi-SSL: how several tasks become one encoder. `single` is one task alone, that of `objective`.

    The paper names the six methods and draws them; what it leaves open is a setting here, and a reconstruction.
    """

    name: Literal["single", "random", "concatenate", "multitask", "progressive", "euclidean", "contrastive", "incremental"] = (
        "single"
    )
    tasks: tuple[Task, ...] = ("gap", "spatial", "motion")  # in this order where they come one after another
    teachers: dict[Task, str] = {}  # run folders of single tasks; those that are not named are trained first
    weights: dict[Task, Annotated[float, Field(ge=0)]] = {}  # multitask: of the losses; 1 unless named
    adapter: Positive = 16  # progressive: channels of a lateral connection
    temperature: Annotated[float, Field(gt=0)] = 0.1  # contrastive: τ
    keep: Annotated[float, Field(ge=0)] = 1.0  # incremental: weight of the distance to the features of before

    @model_validator(mode="after")
    def _tasks(self) -> Self:
        if len(set(self.tasks)) < len(self.tasks) or not self.tasks:
            raise ValueError(f"tasks={list(self.tasks)} must name one or more tasks, each once")
        if len({name in PICTURE_TASKS for name in self.tasks}) > 1:
            raise ValueError(f"tasks={list(self.tasks)} must all be of sound, or all of pictures ({', '.join(PICTURE_TASKS)})")
        if self.name == "progressive" and self.tasks[0] in PICTURE_TASKS:
            raise ValueError("method.name=progressive has columns of sound encoders only; of pictures every other method does")
        return self


class Optim(Settings):
    """AdamW, or SGD with momentum; the learning rate warms up linearly, then falls to zero along half a cosine.

    decay: which parameters decay: `weights`, without biases and what scales after normalising, or `all`, as MoCo has it.
    """

    kind: Literal["adamw", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    decay: Literal["weights", "all"] = "weights"
    betas: tuple[float, float] = (0.9, 0.999)  # adamw
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # sgd
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    epochs: Positive | None = None
    steps: Positive | None = None
    grad_clip: Annotated[float, Field(ge=0)] = 0.0  # largest norm of the whole gradient; 0: unlimited

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"set one of epochs and steps, and the other to null; got epochs={self.epochs}, steps={self.steps}")
        return self


class Neighbours(Settings):
    """A judge that learns nothing, asked at every validation: the nearest neighbours of held-out features among others.

    Pictures are told by their class among `bank` pictures of the training split; clips of sound by their recording, among the
    other held-out clips. k: neighbours that vote; 0: not asked. temperature: of their votes.
    """

    k: Annotated[int, Field(ge=0)] = 0
    bank: Positive = 20_000
    temperature: Annotated[float, Field(gt=0)] = 0.07


class Downstream(Settings):
    """What is made of a frozen encoder to judge it (see `train.downstream`): a head for each evaluation, trained alike for all.

    targets: pairs whose sound is predicted from that of `data.pairs` (S³R). formulation: the complex mask of 2.5D Visual Sound, or
        the difference of the spectrograms directly, as the authors' code has it."""

    splits: dict[Evaluation, str] = {}  # that a head learns from, `train` unless named; few clips show what an encoder is worth
    map_size: tuple[int, int] = (32, 64)  # SP: height and width of the predicted class map
    classes: Annotated[int, Field(ge=2)] = 4  # SP: background and the sounding classes
    width: Positive = 32  # channels of the heads
    targets: tuple[Pair, ...] = ("right", "back", "left")
    formulation: Literal["mask", "difference"] = "mask"
    decode_time: bool = True  # S³R: the decoder doubles the columns as well as the frequencies
    column_stride: Positive = 1  # S³R: train on every so many columns of the spectrogram, those between are much alike
    temperature: Annotated[float, Field(gt=0)] = 0.1  # VR
    optim: Optim = Optim(epochs=10)
    epochs: dict[Evaluation, Positive] = {}  # of an evaluation, instead of those of `optim`


class Recipe(Settings):
    """A whole training run."""

    data: Data = Data()
    views: Views = Views()
    model: Model = Model()
    objective: Objective = Objective()
    contrast: Contrast = Contrast()
    method: Method = Method()
    optim: Optim
    neighbours: Neighbours = Neighbours()
    downstream: Downstream = Downstream()
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"  # auto: bf16 where the device has it, else fp32
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_threads: Positive | None = None  # of torch, on the CPU; null: torch's own choice, all cores
    seed: int = 0
    run: Annotated[Path, BeforeValidator(str)] = Path("runs/spatial")  # YAML reads a folder named 123 as a number
    checkpoint_every: Positive = 200  # steps
    log_every: Positive = 10  # steps between writes of the log; every step is in it
    validate_every: Positive = 1  # epochs


FREE = (
    "downstream",  # trained after the run, on what came of it
    "neighbours",  # looks, and changes nothing
    *("data.batch_size", "contrast.groups"),  # that of all processes together is told, and they may be others in number
    *("data.path", "data.threads", "data.deadline", "data.cache", "data.cache_gib", "data.corrupt", "data.trace"),
    *("run", "device", "checkpoint_every", "log_every", "validate_every"),
)
"""Settings that may change when a run is resumed: they do not change what is learned (the loader checks the data itself)."""


def differences(old: Recipe, new: Recipe) -> list[str]:
    """What keeps `new` from going on where `old` stopped, as `optim.lr: 0.001 there, 0.003 here`."""
    was, now = flat(old), flat(new)
    free = tuple(f"{key}." for key in FREE)
    return [
        f"{key}: {was.get(key)} there, {now.get(key)} here"
        for key in dict.fromkeys((*was, *now))
        if key not in FREE and not key.startswith(free) and was.get(key) != now.get(key)
    ]


def flat(recipe: BaseModel) -> dict[str, object]:
    """Every setting under its dotted name, as plain values (lists, strings, numbers)."""
    found: dict[str, object] = {}

    def add(prefix: str, values: dict[str, object]) -> None:
        for key, value in values.items():
            if isinstance(value, dict):
                add(f"{prefix}{key}.", value)
            else:
                found[prefix + key] = value

    add("", recipe.model_dump(mode="json"))
    return found
