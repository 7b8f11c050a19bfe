"""What an encoder is fed with: sound or pictures. By this alone tasks differ in how encoders are made, fed and compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dataio.stream.kernels.stft import BINS, columns
from models.encoder import Encoder
from models.image import ImageEncoder
from models.sound import SoundEncoder, pool_over_time
from train.recipe import PICTURE_TASKS, Recipe


@dataclass(frozen=True)
class Modality:
    """field: of a batch, that enters an encoder. size: its height and width. untrained: an encoder as the recipe has it.
    pool: from feature maps (B, C, h, w) to vectors (B, D), by which clips are compared.
    fits: what is wrong with feeding an encoder of this description by this recipe, or nothing.
    """

    field: str
    size: Callable[[Recipe], tuple[int, int]]
    untrained: Callable[[Recipe], Encoder]
    pool: Callable[[Tensor], Tensor]
    fits: Callable[[dict[str, Any], Recipe], str]


def modality(tasks: tuple[str, ...]) -> Modality:
    """That of these tasks, which a recipe keeps of one kind."""
    return PICTURE if tasks[0] in PICTURE_TASKS else SOUND


def sound_grid(recipe: Recipe) -> tuple[int, int]:
    """Frequencies and columns of the spectrograms of this recipe."""
    return BINS, columns(round(recipe.data.sound_seconds * recipe.data.sound_rate))


def _sound(recipe: Recipe) -> Encoder:
    model = recipe.model
    ears = 2 * len(recipe.data.pairs)
    return SoundEncoder(ears, width=model.sound_width, depth=model.sound_depth, pool_time=model.sound_pool_time)


def _picture(recipe: Recipe) -> Encoder:
    return ImageEncoder(recipe.model.picture)


def _ears_fit(description: dict[str, Any], recipe: Recipe) -> str:
    first = _first(description)
    if "channels" not in first:
        return f"is of kind={first.get('kind')!r} and hears nothing"
    hears, given = first["channels"], 2 * len(recipe.data.pairs)
    return "" if hears == given else f"hears {hears} ears; data.pairs={list(recipe.data.pairs)} gives {given}"


def _sees(description: dict[str, Any], recipe: Recipe) -> str:
    kind = _first(description).get("kind")
    return "" if kind == "image" else f"is of kind={kind!r} and sees no pictures"


def _first(description: dict[str, Any]) -> dict[str, Any]:
    """Of an encoder that is made of others, the first one, whose input is that of all."""
    while inner := description.get("parts") or description.get("columns"):
        description = inner[0]
    return description


SOUND = Modality("sound", sound_grid, _sound, pool_over_time, _ears_fit)
PICTURE = Modality("view0", lambda recipe: (recipe.views.size,) * 2, _picture, lambda maps: maps.mean((2, 3)), _sees)
