"""The loaders of a recipe."""

from collections.abc import Iterable
from typing import Any

from dataio import Cache, ClipLoader, ClipSpec, Headspace, Health, ImageLoader, ViewSpec
from train.fields import spec_of
from train.recipe import Recipe
from train.world import World


def open_loader(path: str, spec: ClipSpec | ViewSpec, **options: Any) -> ClipLoader | ImageLoader:
    """The loader of clips or of pictures, by the spec."""
    return ImageLoader(path, spec, **options) if isinstance(spec, ViewSpec) else ClipLoader(path, spec, **options)


def _common(recipe: Recipe, world: World) -> dict[str, Any]:
    """What all loaders of a run have in common. Corrupt clips of all processes are listed in one file of the run folder."""
    data = recipe.data
    return {
        "batch_size": data.batch_size,
        "seed": recipe.seed,
        "device": str(world.device),
        "threads": data.threads,
        "window": data.window,
        "deadline": data.deadline,
        "cache": Cache(data.cache, round(data.cache_gib * 2**30)) if data.cache else None,
        "health": Health(recipe.run / "quarantine.jsonl", rate=data.corrupt),
    }


def training_loader(
    recipe: Recipe, world: World, fields: Iterable[str], *, split: str = "train"
) -> ClipLoader | ImageLoader | Headspace:
    """Augmented clips of a split with these fields, in full batches.

    Raises:
        ValueError: an epoch would have no step at all.
    """
    data = recipe.data
    loader = open_loader(
        data.path,
        spec_of(recipe, fields),
        split=split,
        last_batch="drop",
        trace=recipe.run / "trace.json" if data.trace else None,
        **_common(recipe, world),
    )
    if len(loader) == 0:
        loader.close()
        raise ValueError(
            f"an epoch of {data.path} has no step: its split {split!r} of {loader.clips} clips does not fill one batch of "
            f"data.batch_size={data.batch_size} on {world.size} process{'es' if world.size > 1 else ''}; "
            "lower data.batch_size or add clips"
        )
    return Headspace(loader, data.headspace) if data.headspace else loader


def validation_loader(recipe: Recipe, world: World, fields: Iterable[str]) -> ClipLoader | ImageLoader:
    """Clips of the validation split with these fields and without augmentation, each once (but for what fills the last batch).

    From its first epoch: two loaders of the same recipe give the same clips at the same yaws, the same pictures in the same views.
    """
    spec = spec_of(recipe, fields, augment=False)
    return open_loader(recipe.data.path, spec, split="val", last_batch="pad", epochs=1, **_common(recipe, world))


def once_loader(recipe: Recipe, world: World, spec: ClipSpec | ViewSpec, *, split: str) -> ClipLoader | ImageLoader:
    """Clips of a split, each once; a process may get none in the end.

    Raises:
        ValueError, FileNotFoundError: no such split or shards, or they lack a field; the message names it.
    """
    return open_loader(recipe.data.path, spec, split=split, last_batch="partial", epochs=1, **_common(recipe, world))
