"""Held-out clips, each once: the loader, and what an evaluation notes of them, over all processes."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist

from dataio import ClipLoader, ImageLoader
from train.data import once_loader
from train.downstream.base import Batch, Downstream, Rows
from train.fields import clip_spec
from train.recipe import Recipe
from train.world import World

SHOW = 6
"""Clips in a picture."""


@dataclass(frozen=True)
class Notes:
    """rows: of all clips, by ascending clip id (`clip`), without what is large. shown: everything, of the clips of the picture."""

    rows: Rows
    shown: Rows


def held_out_loader(recipe: Recipe, world: World, objective: Downstream, *, split: str) -> ClipLoader | ImageLoader:
    """Clips of a split with what the evaluation needs, without augmentation; see `once_loader`."""
    spec = clip_spec(recipe, (*objective.FIELDS, *objective.BESIDE), augment=False)
    if "frames" in objective.BESIDE:  # only for the picture: frame F/2 is enough, which of two frames is the second
        spec = replace(spec, frames=min(2, recipe.data.frames))
    return once_loader(recipe, world, spec, split=split)


@torch.no_grad()
def collect(objective: Downstream, batches: Iterable[Batch], world: World) -> Notes:
    """Note every clip of these batches and of those of the other processes; all of them get everything.

    A clip that comes twice (it fills up a batch, or stands in for a corrupt one) counts once. Batch size and number of processes
    make no difference but for rounding.

    Raises:
        ValueError: there is no clip at all.
    """
    objective.eval()
    parts: list[Rows] = []
    shown: dict[int, Rows] = {}
    for batch in batches:
        if len(batch["clip"]) == 0:
            continue
        note = {"clip": batch["clip"], **objective.note(batch)}
        parts.append({name: rows.cpu() for name, rows in note.items() if name not in objective.SHOWN})
        for place, clip in enumerate(batch["clip"].tolist()):
            if clip in shown or (len(shown) == SHOW and lot(clip) > max(map(lot, shown))):
                continue
            shown[clip] = {name: rows[place].cpu().clone() for name, rows in note.items()}
            shown = _drawn(shown)
    objective.train()
    if world.size > 1:
        everyone: list[tuple[list[Rows], dict[int, Rows]]] = [([], {})] * world.size
        dist.all_gather_object(everyone, (parts, shown))
        parts = [part for theirs, _ in everyone for part in theirs]
        shown = _drawn({clip: rows for _, theirs in everyone for clip, rows in theirs.items()})
    if not parts:
        raise ValueError("there is no clip to evaluate")
    return Notes(_once(parts), {name: torch.stack([rows[name] for rows in shown.values()]) for name in next(iter(shown.values()))})


def lot(clip: int) -> tuple[int, int]:
    """Clips are shown by the lowest of this: arbitrary, the same every time, and blind to how well they went."""
    return zlib.crc32(str(clip).encode()), clip


def _drawn(shown: dict[int, Rows]) -> dict[int, Rows]:
    return {clip: shown[clip] for clip in sorted(shown, key=lot)[:SHOW]}


def _once(parts: list[Rows]) -> Rows:
    """All rows by ascending clip id, the first of each: sums come out the same in whatever order the clips came."""
    rows = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    ids, order = rows["clip"].sort(stable=True)
    first = torch.ones(len(ids), dtype=torch.bool)
    first[1:] = ids[1:] != ids[:-1]
    return {name: values[order[first]] for name, values in rows.items()}
