"""Spatial alignment evaluated: every held-out clip at every yaw class, and the same weights with one input swapped."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataio import ClipLoader
from train.fields import clip_spec
from train.objectives.spatial import SpatialAlignment
from train.recipe import Recipe
from train.run_folder import read_run
from train.world import pick_device, torch_threads

DRAWS = 32
"""Clips of other recordings whose sound each clip is tried with, and noises that each clip is tried with at each yaw: their mean
varies less than one draw. A noise is drawn anew for every yaw: a head that turns with the picture would answer one noise, turned
to all K yaws, either K times right or never."""

NOISES = 256
"""Different noise videos to draw from."""


@dataclass(frozen=True)
class Evaluation:
    """Accuracies are fractions; `confusion[true][predicted]` counts clips; `recordings` is accuracy by global recording id.

    `accuracy_without_sound` is with the sound of other recordings (None if the split has only one recording),
    `accuracy_without_video` with noise for the video. All have every clip at every yaw class.
    """

    task: str
    step: int
    split: str
    clips: int
    yaw_classes: int
    accuracy: float
    accuracy_without_sound: float | None
    accuracy_without_video: float
    confusion: list[list[int]]
    recordings: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


@torch.no_grad()
def evaluate_spatial(
    run: str | Path, *, data: str | None = None, split: str = "val", device: str = "auto", seed: int = 0, batch_size: int = 32
) -> Evaluation:
    """Evaluate the checkpoint of a run.

    Args:
        run: the run folder.
        data: shards; by default those of the run's recipe.
        split: which of their clips.
        device: where the weights and the loader run: `cpu`, `cuda`, or `auto` for a GPU where there is one.
        seed: of the sound windows, of the noise, and of the choice of other recordings.
        batch_size: clips at once: memory and speed.

    Raises:
        FileNotFoundError: no such run, or no such shards.
        ValueError: the split is empty, or the run is of another task.
    """
    recipe, saved = read_run(run)
    if (learned := recipe.objective.name if recipe.method.name == "single" else recipe.method.name) != "spatial":
        raise ValueError(f"{run} learned {learned}: only a run of the task spatial has the heads that spatial evaluates")
    objective = SpatialAlignment.from_recipe(recipe)
    objective.load_state_dict(saved["model"])
    objective.to(pick_device(device)).eval()
    with torch_threads(recipe.compute_threads):
        features = _encode(objective, recipe, data or recipe.data.path, split, seed, batch_size)
    recordings, classes = features.recording.tolist(), objective.classes

    straight = _predict(objective, features.video, features.sound)
    truth = torch.arange(classes).expand_as(straight)
    partners = other_recordings(recordings, DRAWS, seed)
    swapped = [_predict(objective, features.video, features.sound[chosen]) == truth for chosen in partners.unbind(1)]
    draw = torch.Generator().manual_seed(seed)
    blind = [
        _predict(objective, features.noise[torch.randint(NOISES, truth.shape, generator=draw)], features.sound) == truth
        for _ in range(DRAWS)
    ]
    confusion = torch.bincount((truth * classes + straight).flatten(), minlength=classes**2).reshape(classes, classes)
    right = (straight == truth).float().mean(dim=1)
    return Evaluation(
        task="spatial",
        step=saved["step"],
        split=split,
        clips=len(recordings),
        yaw_classes=classes,
        accuracy=right.mean().item(),
        accuracy_without_sound=torch.stack(swapped).float().mean().item() if swapped else None,
        accuracy_without_video=torch.stack(blind).float().mean().item(),
        confusion=confusion.tolist(),
        recordings={str(r): right[features.recording == r].mean().item() for r in sorted(set(recordings))},
    )


@dataclass(frozen=True)
class Features:
    """What the encoders make of N clips: video (N, K, C, A) at every yaw class, sound (N, D), recording (N,); and of noise videos
    (NOISES, C, A) with the frames' mean and spread.
    """

    video: Tensor
    sound: Tensor
    recording: Tensor
    noise: Tensor


def _encode(objective: SpatialAlignment, recipe: Recipe, path: str, split: str, seed: int, batch_size: int) -> Features:
    spec = clip_spec(recipe, ("frames", "sound"), augment=False)
    device = next(objective.parameters()).device
    videos, sounds, recordings = [], [], []
    with ClipLoader(
        path,
        spec,
        batch_size=batch_size,
        split=split,
        seed=seed,
        device=str(device),
        threads=recipe.data.threads,
        last_batch="partial",
        epochs=1,
    ) as loader:
        for batch in loader:
            frames = batch["frames"].float()
            yaws = [turn(frames, k, objective.classes) for k in range(objective.classes)]
            videos.append(torch.stack([objective.encode_video(x).cpu() for x in yaws], dim=1))
            sounds.append(objective.encode_sound(batch["sound"].float()).cpu())
            recordings.append(batch["recording"].cpu())
    if not videos:
        raise ValueError(f"split {split!r} of {path} holds no clip to evaluate")
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(NOISES, *frames.shape[1:], generator=draw).to(device) * frames.std() + frames.mean()
    noises = [objective.encode_video(part).cpu() for part in noise.split(batch_size)]
    return Features(torch.cat(videos), torch.cat(sounds), torch.cat(recordings), torch.cat(noises))


def turn(frames: Tensor, yaw: int, classes: int) -> Tensor:
    """Frames (…, W) as a viewer sees them who turned right by yaw·360°/K: column x shows column (x + W·yaw/K) mod W, exactly."""
    return frames.roll(-yaw * frames.shape[-1] // classes, dims=-1)


def other_recordings(recordings: Sequence[int], count: int, seed: int) -> Tensor:
    """For each clip, the numbers of `count` random clips of other recordings: (N, count), or (N, 0) if all are of one."""
    ids, draw = torch.tensor(recordings), torch.Generator().manual_seed(seed)
    if len(ids.unique()) < 2:
        return torch.empty(len(ids), 0, dtype=torch.int64)
    strangers = (ids[:, None] != ids[None, :]).float()
    return torch.multinomial(strangers, count, replacement=True, generator=draw)


def _predict(objective: SpatialAlignment, video: Tensor, sound: Tensor) -> Tensor:
    """Predicted class (N, K) of every clip, for what is shown at every yaw (N, K, C, A)."""
    device = next(objective.parameters()).device
    columns = [objective.head(video[:, k].to(device), sound.to(device)).argmax(1).cpu() for k in range(video.shape[1])]
    return torch.stack(columns, dim=1)
