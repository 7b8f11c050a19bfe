"""From the batch fields that something needs to what the loader is asked for."""

from collections.abc import Iterable

from dataio import ClipSpec, ViewSpec
from train.recipe import Recipe

VIEWS = ("view0", "view1")


def spec_of(recipe: Recipe, fields: Iterable[str], *, augment: bool = True) -> ClipSpec | ViewSpec:
    """The spec that gives these fields: of pictures where they are views, else of clips. See the two below."""
    wanted = set(fields)
    return (view_spec if wanted & set(VIEWS) else clip_spec)(recipe, wanted, augment=augment)


def view_spec(recipe: Recipe, fields: Iterable[str], *, augment: bool = True) -> ViewSpec:
    """Views of pictures as the recipe has them.

    Args:
        fields: `view0`, and `view1` for two views, which are always augmented: without that they were the same.
        augment: False gives the single view that is evaluated.
    """
    views = recipe.views
    if not augment and "view1" not in set(fields):
        return ViewSpec(size=views.size, short=views.short, views=1, augment=False)
    return ViewSpec(views=sum(name in set(fields) for name in VIEWS), **views.model_dump(exclude={"progressive"}))


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
