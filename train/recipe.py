"""What a recipe may say: the settings of a training run, their types, defaults and limits."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]


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
    pairs: tuple[Literal["front", "right", "back", "left"], ...] = ("front", "right", "back", "left")
    sound_seconds: Annotated[float, Field(gt=0)] = 1.0
    augment: tuple[Literal["turn", "mirror"], ...] = ("turn", "mirror")


class Model(Settings):
    """Sizes of the encoders and of the head (see `models`)."""

    sound_width: Positive = 64
    sound_pool_time: Positive = 1
    video_width: Positive = 16
    subtract_mean: bool = True
    head: Literal["correlation", "concat"] = "correlation"
    azimuths: Positive = 16
    head_channels: Positive = 32


class Objective(Settings):
    """The task. `spatial`: which of K yaw classes was the picture turned by?

    `mute` replaces one input by zeros, in training and evaluation: the control that shows what the other gives away alone.
    """

    name: Literal["spatial"] = "spatial"
    yaw_classes: Annotated[int, Field(ge=2)] = 4
    mute: Literal["none", "sound", "video"] = "none"


class Optim(Settings):
    """AdamW; the learning rate warms up linearly, then falls to zero along half a cosine."""

    lr: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    epochs: Positive | None = None
    steps: Positive | None = None
    grad_clip: Annotated[float, Field(ge=0)] = 0.0  # largest norm of the whole gradient; 0: unlimited

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"set one of epochs and steps, and the other to null; got epochs={self.epochs}, steps={self.steps}")
        return self


class Recipe(Settings):
    """A whole training run."""

    data: Data = Data()
    model: Model = Model()
    objective: Objective = Objective()
    optim: Optim
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_threads: Positive | None = None  # of torch, on the CPU; null: torch's own choice, all cores
    seed: int = 0
    run: Annotated[Path, BeforeValidator(str)] = Path("runs/spatial")  # YAML reads a folder named 123 as a number
    checkpoint_every: Positive = 200  # steps
    log_every: Positive = 10  # steps between writes of the log; every step is in it
    validate_every: Positive = 1  # epochs


FREE = (
    *("data.path", "data.threads", "data.deadline", "data.cache", "data.cache_gib", "data.corrupt", "data.trace"),
    *("run", "device", "checkpoint_every", "log_every", "validate_every"),
)
"""Settings that may change when a run is resumed: they do not change what is learned (the loader checks the data itself)."""


def differences(old: Recipe, new: Recipe) -> list[str]:
    """What keeps `new` from going on where `old` stopped, as `optim.lr: 0.001 there, 0.003 here`."""
    was, now = flat(old), flat(new)
    return [f"{key}: {was[key]} there, {now[key]} here" for key in was if key not in FREE and was[key] != now[key]]


def flat(recipe: Recipe) -> dict[str, object]:
    """Every setting under its dotted name, as plain values (lists, strings, numbers)."""
    found: dict[str, object] = {}
    for key, value in recipe.model_dump(mode="json").items():
        found |= {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
    return found
