"""Training on the device: how long a step waits for data, and whether the loss goes the way it goes on the CPU."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.gpu import material
from benchmarks.gpu.task import PartError, Task
from dataio.stream.kernels.rotate import STD
from dataio.stream.loader import ClipLoader
from dataio.stream.spec import ClipSpec, FrameType

STEPS, WARM = 60, 10  # that are measured, and before them
CURVE = 50  # steps of the two loss curves
LEAST = 0.02
"""Nats. Curves of 50 steps that are never farther apart than this are one to any reader: batches scatter by more."""
ROOM = 3.0
"""The device may be this many times as far from the CPU as the CPU is from itself with other pictures, see `curves`."""
LEVELS, ONE_IN = 1.0, 8
"""Grey levels, up or down, by which one in so many values of the control's pictures differs, as those of two JPEG decoders may."""


def measure(task: Task) -> None:
    """Notes `wait` and `curves`.

    Raises:
        PartError: one of them did not come out; the other was measured all the same.
    """
    shards = material.standard(task.material, task.small)
    wrong = []
    for name, run in (("wait", wait), ("curves", curves)):
        task.say(name)
        try:
            task.note(name, run(task, shards))
        except Exception as error:  # the other is still to be measured
            wrong.append(f"{name}: {type(error).__name__}: {error}")
            task.note(name, {"error": wrong[-1]})
    if wrong:
        raise PartError("; ".join(wrong))


def _sound(task: Task) -> dict[str, Any]:
    """What is heard of a clip of material.standard."""
    return {"sound_rate": material.MAPS_RATE, "sound_seconds": 0.25} if task.small else {"sound_rate": 96_000, "sound_seconds": 1.0}


class TwoEncoders(nn.Module):
    """A ResNet-50 for every frame, averaged over time, and one for the spectrogram, whose ears are its channels; they are compared
    within the batch, as in CLIP. It stands for any pair of encoders of this size; nothing of what it learns is looked at.
    """

    def __init__(self, ears: int, *, small: bool) -> None:
        super().__init__()
        from torchvision.models import resnet18, resnet50

        make = resnet18 if small else resnet50
        self.video, self.sound = make(num_classes=128), make(num_classes=128)
        self.sound.conv1 = nn.Conv2d(ears, 64, 7, 2, 3, bias=False)

    def forward(self, frames: Tensor, sound: Tensor) -> Tensor:
        """Frames (B, 3, F, H, W) and log power (B, ears, 257, T), of which four columns become one; the loss."""
        batch, _, count = frames.shape[:3]
        flat = frames.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        seen = self.video(flat).unflatten(0, (batch, count)).mean(1)
        heard = self.sound(F.avg_pool2d(sound, (1, 4)).add(6).div(4).contiguous(memory_format=torch.channels_last))
        alike = F.normalize(seen.float(), dim=1) @ F.normalize(heard.float(), dim=1).T / 0.1
        return F.cross_entropy(alike, torch.arange(batch, device=alike.device))


@dataclass(frozen=True)
class _Step:
    """One optimiser step over `parts` equal pieces of a batch, where the whole does not fit the device."""

    model: TwoEncoders
    optimizer: torch.optim.Optimizer
    parts: int

    def __call__(self, batch: dict[str, Tensor]) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        for frames, sound in zip(batch["frames"].chunk(self.parts), batch["sound"].chunk(self.parts), strict=True):
            with torch.autocast(frames.device.type, torch.bfloat16):
                loss = self.model(frames, sound) / self.parts
            loss.backward()
        self.optimizer.step()


def wait(task: Task, shards: Path) -> dict[str, Any]:
    """Batch 256 of two frames of 256×128 and a second of the front pair, bfloat16, SGD; no validation, no log.

    A step lasts from one `next` to the following, and `next` is only called when the device has done the step before: what the
    loader needs beyond a step is seen whole.

    Returns:
        JSON: `share` of all steps' time that was spent in `next`, `shares` of each step (median, max), `step_ms`,
        `clips_per_second`, `frames_per_second`, `parts` of a batch, `loader_clips_per_second` that the loader gives alone,
        `gpu_use` (nvidia-smi's percent of the time in which a kernel ran, or null).
    """
    size, batch, steps, warm = ((32, 64), 2, 2, 0) if task.small else ((128, 256), 256, STEPS, WARM)
    dtype: FrameType | None = "float16" if task.cuda else None
    spec = ClipSpec(2, size, ("front",), **_sound(task), yaw_classes=4, dtype=dtype)
    torch.backends.cudnn.benchmark = True
    model = TwoEncoders(2, small=task.small).to(task.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stubs do not know it
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    with ExitStack() as stack:
        loader = stack.enter_context(ClipLoader(shards, spec, batch_size=batch, device=str(task.device), window=64))
        batches = _endless(loader)
        step = _fitting(task, model, optimizer, next(batches))
        watch = stack.enter_context(gpu_use(task))
        waits, whole = [], []
        at = time.perf_counter()
        for i in range(warm + steps):
            given = next(batches)
            got = time.perf_counter()
            step(given)
            task.synchronize()
            now = time.perf_counter()
            if i >= warm:
                waits.append(got - at)
                whole.append(now - at)
            at = now
            if task.left < 60 and not task.small and len(whole) >= 20:
                break
        use = watch()
        alone = _rate(task, batches, batch, 0.2 if task.small else 3.0, loader.batches_ahead)
    shares = torch.tensor(waits) / torch.tensor(whole)
    pace = len(whole) * batch / sum(whole)
    return {
        "share": sum(waits) / sum(whole),
        "shares": {"median": float(shares.median()), "max": float(shares.max())},
        "steps": len(whole),
        "step_ms": 1e3 * sum(whole) / len(whole),
        "clips_per_second": pace,
        "frames_per_second": pace * spec.frames,
        "batch_size": batch,
        "parts": step.parts,
        "loader_clips_per_second": alone,
        "gpu_use": use,
        "spec": asdict(spec),
    }


def _fitting(task: Task, model: TwoEncoders, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor]) -> _Step:
    for parts in (1, 2, 4, 8):
        step = _Step(model, optimizer, parts)
        try:
            step(batch)
            task.synchronize()
            return step
        except torch.OutOfMemoryError:
            optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
    raise PartError("not even an eighth of a batch fits the device")


def _rate(task: Task, batches: Iterator[dict[str, Tensor]], batch: int, seconds: float, ahead: int) -> float:
    for _ in range(ahead):
        next(batches)
    count, start = 0, time.perf_counter()
    while (now := time.perf_counter() - start) < seconds or count < 2:
        next(batches)
        count += 1
    task.synchronize()
    return count * batch / now


@contextmanager
def gpu_use(task: Task) -> Iterator[Callable[[], float | None]]:
    """Gives a function that tells the mean use of the device since, in percent, from samples of nvidia-smi; None without it."""
    command = ["nvidia-smi", f"--id={task.device.index or 0}", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    with tempfile.TemporaryFile("w+") as file:
        try:
            watch = subprocess.Popen([*command, "-lms", "200"], stdout=file, stderr=subprocess.DEVNULL) if task.cuda else None
        except OSError:
            watch = None

        def use() -> float | None:
            file.seek(0)
            samples = [float(line) for line in file.read().split("\n")[:-1] if line.strip().isdigit()]
            return sum(samples) / len(samples) if samples else None

        try:
            yield use
        finally:
            if watch is not None:
                watch.kill()
                watch.wait()


def curves(task: Task, shards: Path) -> dict[str, Any]:
    """The loss of the recipe `spatial`, a small model, float32 without TF32, over the same steps on both devices.

    JPEG decoders differ by a grey level here and there, so the losses of a GPU cannot be the CPU's to the last digit; how far such
    differences take a run apart is what the control shows, on the CPU with one in ONE_IN values of its frames moved by LEVELS.
    Allowed is ROOM times that, or LEAST.

    Returns:
        JSON: `losses` by run, `deviation` of the device and `control`, the greatest over all steps, and what is `allowed`.
    """
    steps = 6 if task.small else CURVE
    cpu = torch.device("cpu")
    runs = {"cpu": (cpu, 0.0), "cpu, other pictures": (cpu, LEVELS), "device": (task.device, 0.0)}
    losses = {name: _losses(task, shards, device, levels, steps) for name, (device, levels) in runs.items()}
    wanted = torch.tensor(losses["cpu"])
    control, found = (float((torch.tensor(losses[name]) - wanted).abs().max()) for name in ("cpu, other pictures", "device"))
    allowed = max(LEAST, ROOM * control)
    apart = {"deviation": found, "control": control, "allowed": allowed, "within": found <= allowed}
    return {"steps": steps, "losses": losses} | apart


def _losses(task: Task, shards: Path, device: torch.device, levels: float, steps: int) -> list[float]:
    """The loop of `train.loop` without its log, which needs packages that a GPU host may lack."""
    from train.fields import clip_spec
    from train.objectives import OBJECTIVES
    from train.optim import make_optimizer, make_schedule
    from train.recipe_file import load_recipe

    size = "[32, 64]" if task.small else "[64, 128]"
    settings = [f"data.size={size}", f"optim.steps={steps}", "optim.epochs=null", "data.pairs=[front]", "data.augment=[]"]
    settings += [f"data.{name}={value}" for name, value in _sound(task).items()]
    settings += ["model.sound_pool_time=1", "model.sound_depth=2"] if task.small else []
    recipe = load_recipe("spatial", [*settings, "model.azimuths=8", "data.batch_size=8"])
    exact = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = False
    torch.manual_seed(recipe.seed)
    objective = OBJECTIVES[recipe.objective.name].from_recipe(recipe).to(device)
    optimizer = make_optimizer(objective, recipe.optim)
    schedule = make_schedule(optimizer, recipe.optim, steps)
    spec = replace(clip_spec(recipe, objective.FIELDS), dtype="float32")
    noise, level = torch.Generator().manual_seed(1), levels / 255 / torch.tensor(STD).view(3, 1, 1, 1)
    found: list[Tensor] = []
    try:
        with ClipLoader(shards, spec, batch_size=recipe.data.batch_size, seed=recipe.seed, device=str(device)) as loader:
            batches = _endless(loader)
            for _ in range(steps):
                batch = next(batches)
                if levels:
                    drawn = torch.randint(2 * ONE_IN, batch["frames"].shape, generator=noise)
                    moved = (drawn == 0).float() - (drawn == 1).float()
                    batch = {**batch, "frames": batch["frames"] + level * moved}
                loss, _ = objective(batch)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(objective.parameters(), recipe.optim.grad_clip)
                optimizer.step()
                schedule.step()
                found.append(loss.detach())
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = exact
    return torch.stack(found).tolist()


def _endless(loader: ClipLoader) -> Iterator[dict[str, Tensor]]:
    while True:
        yield from loader
