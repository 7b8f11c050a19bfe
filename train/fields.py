"""From the batch fields that something needs to what the loader is asked for."""

from collections.abc import Iterable

from dataio import ClipSpec
from train.recipe import Recipe


def clip_spec(recipe: Recipe, fields: Iterable[str], *, augment: bool = True) -> ClipSpec:
    """The spec that gives these fields, and no large one besides.

    Args:
        fields: names of batch fields. `yaw` means that the picture is turned; `complex_sound` is `sound` as real and imaginary
            part, and
            that of all pairs of `downstream.targets` after those of `data.pairs`.
        augment: as the recipe says; otherwise none.
    """
    data, wanted = recipe.data, set(fields)
    heard = {"sound", "complex_sound", "partner_sound"} & wanted
    pairs = data.pairs if heard else ()
    if "complex_sound" in wanted:
        pairs = tuple(dict.fromkeys((*pairs, *recipe.downstream.targets)))
    return ClipSpec(
        frames=data.frames if "frames" in wanted else 0,
        size=data.size,
        pairs=pairs,
        sound="complex" if "complex_sound" in wanted else "log",
        sound_rate=data.sound_rate,
        sound_seconds=data.sound_seconds,
        yaw_classes=recipe.objective.yaw_classes if "yaw" in wanted else None,
        augment=data.augment if augment else (),
        partner=bool({"partner_sound", "gap"} & wanted),
        reach=data.reach,
        flow="flow" in wanted,
        mask="mask" in wanted,
        labels="labels" in wanted,
    )
