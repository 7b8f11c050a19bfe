"""The training loop of detection: settings and a backbone go in, a trained detector and a run folder come out."""

import time
from contextlib import closing

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torchvision.models.detection import MaskRCNN

from dataio.stream.order.random import key
from models.image import ImageEncoder
from train.checkpoint import save_checkpoint
from train.downstream.detection.ahead import read_ahead
from train.downstream.detection.claim import claim, saved_training, start_of
from train.downstream.detection.data import Examples, Target, TrainingSet, check_files
from train.downstream.detection.model import make_detector
from train.downstream.detection.order import places
from train.downstream.detection.schedule import learning_rate, make_optimizer
from train.downstream.detection.settings import Detection
from train.interrupt import Interrupt
from train.log import RunLog
from train.world import World

AHEAD = 4
"""Steps whose pictures are read before they are asked for."""


def fit(
    settings: Detection, learnt: TrainingSet, encoder: ImageEncoder | None, world: World, interrupt: Interrupt
) -> tuple[MaskRCNN, int]:
    """Train, or go on where an earlier start stopped: on the CPU bit-identical to a training that never stopped.

    Of several processes each computes the loss of its own pictures, and the gradients are the mean over all. On GPUs the statistics
    of batch norm are those of all their pictures; on the CPU, where torch cannot synchronise them, each process has its own, and
    what is saved and judged are those of the first.

    Args:
        encoder: to start from; None: a random backbone.

    Returns:
        the detector, on the device, the same in all processes; and 0, or the exit code if a signal stopped the training.

    Raises:
        FileNotFoundError, ValueError: a picture, or the run folder, which belongs to another training.
        RuntimeError: the loss is no longer finite; the checkpoint before it stays.
    """
    data, optim, start = settings.data, settings.optim, start_of(encoder)
    examples = Examples(data.train_pictures, learnt.pictures)
    check_files(data.train_pictures, examples.pictures)
    saved = saved_training(settings, start, learnt.checksum)
    if world.first:
        claim(settings)
    world.any(False)  # nobody looks into the folder before it is there

    torch.manual_seed(settings.seed)
    encoder = encoder or ImageEncoder(settings.backbone)
    model = make_detector(
        encoder, classes=len(learnt.categories), heads=settings.heads, min_size=data.min_size, max_size=data.max_size
    )
    if world.size > 1 and world.device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model.to(world.device).train()
    optimizer = make_optimizer(model, optim)
    first = step = seen = 0
    if saved is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first, step, seen = saved["step"], saved["step"], saved["seen"]
    parallel = DistributedDataParallel(model) if world.size > 1 else model
    batch = data.batch_size * world.size

    def save() -> None:
        log.flush()  # first, because it refuses to go on with a loss that is not finite
        if world.first:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seen": seen}
            save_checkpoint(settings.run, state | {"start": start, "data": learnt.checksum})

    order = places(
        seen, len(examples.pictures), settings.seed, batch=data.batch_size, rank=world.rank, world=world.size, flip=data.flip
    )
    reading = read_ahead(examples, order, threads=data.threads, depth=AHEAD * data.batch_size)
    with RunLog(settings.run, world, step=step, total=optim.steps) as log, closing(reading):  # type: ignore[type-var]
        if saved is not None:
            log.say(f"going on from step {step} of {optim.steps} in {settings.run}")
        stop = False
        waiting = time.perf_counter()
        while step < optim.steps and not stop:
            pairs = [next(reading) for _ in range(data.batch_size)]
            pictures, targets = to_device(pairs, world.device)
            got = time.perf_counter()

            seed_step(settings.seed, step, world.rank)
            lr = learning_rate(optim, step, batch=batch)
            for group in optimizer.param_groups:
                group["lr"] = lr
            with torch.autocast(world.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                losses: dict[str, Tensor] = parallel(pictures, targets)
            loss = torch.stack([part.float() for part in losses.values()]).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if optim.grad_clip:
                nn.utils.clip_grad_norm_(model.parameters(), optim.grad_clip)
            optimizer.step()
            step, seen = step + 1, seen + batch

            numbers: dict[str, float] = {"lr": lr, "data_seconds": got - waiting, "step_seconds": time.perf_counter() - got}
            log.note(step, {"loss": loss, **losses}, **numbers)
            if step % settings.log_every == 0:
                log.flush()
            # All processes must stop at the same step, so they ask each other; that costs, so not at every step.
            if world.size == 1 or step % settings.log_every == 0:
                stop = world.any(interrupt.signal is not None)
            if step % settings.checkpoint_every == 0 and step < optim.steps and not stop:
                save()
            waiting = time.perf_counter()
        if step > first:
            save()
            world.any(False)  # nobody goes on before the checkpoint is there
        if unfinished := step < optim.steps:
            log.say(f"stopped at step {step} of {optim.steps} and saved; the same command goes on from there (run={settings.run})")
    share_buffers(model, world)
    return model, interrupt.exit_code if unfinished else 0


def seed_step(seed: int, step: int, rank: int) -> None:
    """Let what a step draws, proposals and sizes of pictures, be a pure function of these: so no generator need be saved."""
    torch.manual_seed(key(seed, step, rank, "step") >> 1)


def to_device(pairs: list[tuple[Tensor, Target]], device: torch.device) -> tuple[list[Tensor], list[Target]]:
    """Examples as the detector takes them: pictures as float32 in 0 … 1."""
    pictures = [pixels.to(device, non_blocking=True).float() / 255 for pixels, _ in pairs]
    return pictures, [{name: value.to(device, non_blocking=True) for name, value in target.items()} for _, target in pairs]


@torch.no_grad()
def share_buffers(model: nn.Module, world: World) -> None:
    """Give all processes the first one's buffers: their own batch norm has followed their own pictures."""
    if world.size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
