"""The objective is equation (1)."""

import math

import pytest
import torch

from train.fields import clip_spec
from train.objectives import OBJECTIVES
from train.objectives.spatial import SpatialAlignment
from train.recipe import Data, Model, Objective, Optim, Recipe


def small(head: str = "correlation", mute: str = "none") -> SpatialAlignment:
    model = Model(sound_width=2, sound_pool_time=16, video_width=2, azimuths=8, head_channels=4, head=head)
    task = Objective(yaw_classes=4, mute=mute)
    recipe = Recipe(model=model, objective=task, data=Data(pairs=["front"]), optim=Optim(epochs=1))
    torch.manual_seed(0)
    return SpatialAlignment.from_recipe(recipe)


def random_batch(size: int = 5) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "frames": torch.randn(size, 3, 2, 32, 64),
        "sound": torch.randn(size, 2, 257, 601) * 3 - 5,
        "yaw": torch.arange(size) % 4,
    }


@pytest.mark.parametrize("head", ["correlation", "concat"])
def test_loss_is_the_mean_negative_log_probability_in_float64(head):
    objective, batch = small(head=head).eval(), random_batch()
    with torch.no_grad():
        loss, metrics = objective(batch)
        logits = objective.head(objective.encode_video(batch["frames"]), objective.encode_sound(batch["sound"])).tolist()
    expected, right = 0.0, 0
    for row, yaw in zip(logits, batch["yaw"].tolist(), strict=True):
        expected -= row[yaw] - math.log(math.fsum(math.exp(x) for x in row))
        right += row.index(max(row)) == yaw
    assert loss.item() == pytest.approx(expected / len(logits), rel=1e-5)
    assert metrics["accuracy"].item() == pytest.approx(right / len(logits))


@pytest.mark.parametrize("head", ["correlation", "concat"])
def test_every_parameter_gets_a_gradient(head):
    objective = small(head=head)
    objective(random_batch())[0].backward()
    without = [name for name, p in objective.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []
    assert all(p.grad.abs().sum() > 0 for name, p in objective.named_parameters() if name.endswith("weight"))


@pytest.mark.parametrize("mute", ["sound", "video"])
def test_a_muted_input_changes_nothing(mute):
    objective, batch = small(mute=mute).eval(), random_batch()
    name = {"sound": "sound", "video": "frames"}[mute]
    with torch.no_grad():
        assert objective(batch)[0] == objective(batch | {name: batch[name] + 1})[0]


def test_without_muting_both_inputs_count():
    objective, batch = small().eval(), random_batch()
    with torch.no_grad():
        for name in ("sound", "frames"):
            assert objective(batch)[0] != objective(batch | {name: batch[name] * 2})[0]


def test_the_fields_are_those_that_the_spec_asks_for(recipe: Recipe):
    spec = clip_spec(recipe, SpatialAlignment.FIELDS)
    assert (spec.frames, spec.size, spec.pairs, spec.yaw_classes) == (2, (32, 64), ("front",), 4)
    assert spec.augment == ("turn", "mirror")
    plain = clip_spec(recipe, ("frames", "sound"), augment=False)
    assert (plain.yaw_classes, plain.augment) == (None, ())


def test_a_real_batch_has_the_declared_fields(recipe: Recipe):
    from train.data import training_loader
    from train.world import World

    with training_loader(recipe, World(0, 1, torch.device("cpu")), SpatialAlignment.FIELDS) as loader:
        batch = next(iter(loader))
    assert set(SpatialAlignment.FIELDS) <= set(batch)
    loss, _ = OBJECTIVES["spatial"].from_recipe(recipe)(batch)
    assert loss.isfinite()
