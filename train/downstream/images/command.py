"""What `sonosphere evaluate RUN --task knn|voc07` does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataio.format.atomic import write_file
from models.encoder import Encoder
from train.encoder_file import load_encoder
from train.modality import PICTURE
from train.recipe import Recipe
from train.recipe_file import load_recipe
from train.run_folder import RECIPE

PUBLISHED = "images"
"""Recipe by whose views an imported encoder sees shards: it has none of its own."""


def judge_pictures(
    run: Path, task: str, settings: list[str], *, data: str | None, split: str = "val", say: Callable[[str], None]
) -> tuple[dict[str, Any], str]:
    """Judge the encoder of a run, or one that was imported; the result lies in RUN/TASK/result.json too.

    Args:
        settings: `section.key=value`, instead of those of the run's recipe: `knn` reads `views`, `neighbours` and `data`.
        data: shards of pictures, by default the run's; for voc07 the folder that holds VOCdevkit.

    Returns:
        the result, and a line for people.

    Raises:
        FileNotFoundError: no encoder, or no data. ValueError: an encoder that sees no pictures, or a setting.
    """
    encoder = load_encoder(run)
    own = [f"data.path={json.dumps(data)}"] if data else []
    recipe = load_recipe(run / RECIPE if (run / RECIPE).is_file() else PUBLISHED, [*settings, *own])
    if wrong := PICTURE.fits(encoder.description, recipe):
        raise ValueError(f"the encoder of {run} {wrong}: {task} is for encoders of pictures")
    if task == "voc07":
        found, line = _voc07(encoder, recipe, data, say)
    else:
        found, line = _knn(encoder, recipe, split)
    found = {"encoder": run.name, **found}
    (run / task).mkdir(exist_ok=True)
    write_file(run / task / "result.json", (json.dumps(found, indent=2) + "\n").encode())
    return found, line


def _voc07(encoder: Encoder, recipe: Recipe, data: str | None, say: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    from train.downstream.images.voc07 import sentence, voc07
    from train.world import pick_device, torch_threads

    if data is None:
        raise ValueError("voc07 needs --data, the folder that holds VOCdevkit/VOC2007")
    with torch_threads(recipe.compute_threads):
        found = voc07(encoder, data, device=pick_device(recipe.device), threads=recipe.data.threads, say=say)
    return found, sentence(found)


def _knn(encoder: Encoder, recipe: Recipe, split: str) -> tuple[dict[str, Any], str]:
    from train.validate import picture_neighbours
    from train.world import join_world, torch_threads

    settings = recipe.neighbours.model_copy(update={"k": recipe.neighbours.k or 200})
    with torch_threads(recipe.compute_threads), join_world(recipe.device) as world:
        accuracy = picture_neighbours(encoder.to(world.device), recipe.model_copy(update={"neighbours": settings}), world, split)
    found = {"task": "knn", "knn": accuracy, "k": settings.k, "bank": settings.bank, "data": recipe.data.path, "split": split}
    return found, f"knn on {split!r}: {100 * accuracy:.1f} % of pictures are told by their {settings.k} nearest neighbours"
