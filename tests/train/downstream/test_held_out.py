"""Every held-out clip counts once, whatever the batches are."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.data import validation_loader
from train.downstream import DOWNSTREAM
from train.downstream.base import Downstream
from train.downstream.held_out import SHOW, collect, held_out_loader, lot
from train.modality import SOUND
from train.recipe import Recipe
from train.world import World

ALONE = World(0, 1, torch.device("cpu"))
CLIPS = 8


def made(recipe: Recipe, task: str) -> Downstream:
    torch.manual_seed(4)
    return DOWNSTREAM[task](recipe, SOUND.untrained(recipe))


def with_batches_of(recipe: Recipe, size: int) -> Recipe:
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"batch_size": size})})


@pytest.mark.parametrize("task", list(DOWNSTREAM))
def test_the_batch_size_changes_nothing(judging, task):
    found = {}
    for size in (1, 3, 8, 20):
        recipe = with_batches_of(judging, size)
        objective = made(recipe, task)
        with held_out_loader(recipe, ALONE, objective, split="val") as loader:
            notes = collect(objective, loader, ALONE)
        assert len(notes.rows["clip"]) == CLIPS
        assert notes.shown["clip"].tolist() == sorted(notes.rows["clip"].tolist(), key=lot)[:SHOW]
        found[size] = objective.figures(notes.rows)
    for size in (1, 3, 20):
        assert found[size] == pytest.approx(found[8], rel=1e-5)


@pytest.mark.parametrize("task", list(DOWNSTREAM))
def test_clips_that_fill_up_the_last_batch_do_not_count_twice(judging, task):
    objective = made(judging, task)
    with validation_loader(judging, ALONE, objective.FIELDS) as loader:
        padded = [{name: values.clone() for name, values in batch.items()} for batch in loader]
    assert sum(len(batch["clip"]) for batch in padded) == CLIPS + 1
    with held_out_loader(judging, ALONE, objective, split="val") as loader:
        assert loader.clips == CLIPS
        partial = collect(objective, loader, ALONE)
    figures = objective.figures(collect(objective, padded, ALONE).rows)
    assert figures == pytest.approx(objective.figures(partial.rows), rel=1e-5)


class Echo(Downstream):
    """Notes what it is given; no encoder."""

    SHOWN = ("large",)

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def note(self, batch):
        return {"value": 2.0 * batch["clip"], "large": batch["clip"][:, None].expand(-1, 3)}


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.integers(0, 30), max_size=6), min_size=1, max_size=8).filter(lambda batches: any(batches)))
def test_any_batches_with_any_repetitions_come_to_the_same(batches):
    notes = collect(Echo(), [{"clip": torch.tensor(ids, dtype=torch.int64)} for ids in batches], ALONE)
    distinct = sorted({clip for ids in batches for clip in ids})
    assert notes.rows["clip"].tolist() == distinct
    assert notes.rows["value"].tolist() == [2.0 * clip for clip in distinct]
    assert "large" not in notes.rows
    assert notes.shown["large"][:, 0].tolist() == sorted(distinct, key=lot)[:SHOW]


def test_no_clip_is_an_error():
    with pytest.raises(ValueError, match="no clip to evaluate"):
        collect(Echo(), [{"clip": torch.zeros(0, dtype=torch.int64)}], ALONE)
