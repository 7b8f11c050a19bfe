"""The loaders of a recipe."""

from dataio import ClipLoader
from train.objectives import OBJECTIVES
from train.recipe import Recipe
from train.world import World


def training_loader(recipe: Recipe, world: World) -> ClipLoader:
    """Turned and augmented clips of the training split, in full batches.

    Raises:
        ValueError: an epoch would have no step at all.
    """
    data = recipe.data
    loader = ClipLoader(
        data.path,
        OBJECTIVES[recipe.objective.name].clip_spec(recipe),
        batch_size=data.batch_size,
        split="train",
        seed=recipe.seed,
        device=str(world.device),
        threads=data.threads,
        last_batch="drop",
    )
    if len(loader) == 0:
        loader.close()
        raise ValueError(
            f"an epoch of {data.path} has no step: its training split of {loader.clips} clips does not fill one batch of "
            f"data.batch_size={data.batch_size} on {world.size} process{'es' if world.size > 1 else ''}; "
            "lower data.batch_size or add clips"
        )
    return loader


def validation_loader(recipe: Recipe, world: World) -> ClipLoader:
    """Turned clips of the validation split without augmentation, each once (but for what fills the last batch).

    From its first epoch: two loaders of the same recipe give the same clips at the same yaws.
    """
    data = recipe.data
    return ClipLoader(
        data.path,
        OBJECTIVES[recipe.objective.name].clip_spec(recipe, augment=False),
        batch_size=data.batch_size,
        split="val",
        seed=recipe.seed,
        device=str(world.device),
        threads=data.threads,
        last_batch="pad",
    )
