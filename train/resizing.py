"""Progressive resizing: a run begins on smaller views, whose steps cost a fraction, and ends on those that it is judged on.

As in fast.ai's and FFCV's training of ImageNet. What a view shows is the same; only its pixels are fewer.
"""

from torch.nn import functional as F

from train.fields import VIEWS
from train.objectives.base import Batch
from train.recipe import Views


def side_at(views: Views, step: int, total: int) -> int:
    """Side in pixels of the views of step `step`, from 0, of a run of `total`."""
    return next((side for end, side in views.progressive if step < _last(end, total)), views.size)


def plan(views: Views, total: int) -> str:
    """The sizes of a run of `total` steps, for people; empty if there is one."""
    stages = [f"of {side} pixels up to step {_last(end, total)}" for end, side in views.progressive]
    return f"views {', '.join(stages)}, then of {views.size} pixels" if stages else ""


def _last(end: float, total: int) -> int:
    """Step, from 1, that ends with this share of the run."""
    return round(end * total)


def resized(batch: Batch, side: int) -> Batch:
    """The batch with its views (B, 3, S, S) at this side, antialiased, in the memory layout that they had; the rest untouched."""
    smaller = {
        name: F.interpolate(views.float(), size=(side, side), mode="bilinear", antialias=True)
        for name in VIEWS
        if (views := batch.get(name)) is not None and views.shape[-1] != side
    }
    return {**batch, **smaller} if smaller else batch
