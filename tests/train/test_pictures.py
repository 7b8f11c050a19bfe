"""Learning from pictures on real shards: whole runs, their resumption, and every method that applies."""

import json
import signal
from pathlib import Path

import pytest
import torch

from dataio import ImageLoader
from models.image import ImageEncoder
from tests.train.test_loop import losses, stop_at, with_settings
from train.checkpoint import load_checkpoint
from train.encoder_file import load_encoder
from train.fields import spec_of
from train.log import VALIDATION, read_log
from train.recipe import Recipe
from train.run import train


@pytest.mark.parametrize("task", ["moco", "densecl"])
def test_a_whole_run_and_one_that_was_stopped_are_bit_identical(pictures, tmp_path, task):
    straight = with_settings(pictures, run=str(tmp_path / "straight"), objective__name=task)
    assert train(straight).total == 6
    assert isinstance(encoder := load_encoder(straight.run), ImageEncoder) and encoder.kind == "resnet18"
    (validation,) = read_log(straight.run, VALIDATION)
    assert 0 <= validation["knn"] <= 1 and {"loss", "accuracy"} < set(validation)
    environment = json.loads((straight.run / "environment.json").read_text())
    assert environment["commits"] == [environment["commit"]] and environment["packages"]["torch"] == torch.__version__.split("+")[0]

    broken = with_settings(pictures, run=str(tmp_path / "broken"), objective__name=task)
    for at in (2, 3):
        stop_at(at, lambda: train(broken), signal.SIGTERM, 143)
    train(broken)
    assert losses(broken) == losses(straight)
    one, two = (load_checkpoint(recipe.run)["model"] for recipe in (straight, broken))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_validation_sees_the_same_views_every_time(pictures):
    recipe = Recipe.model_validate(pictures)
    spec = spec_of(recipe, ("view0", "view1"), augment=False)
    assert spec.augment and spec.views == 2  # without augmentation both views were the same picture
    alone = spec_of(recipe, ("view0",), augment=False)
    assert not alone.augment and (alone.size, alone.short, alone.views) == (32, 36, 1)


@pytest.mark.parametrize("name", ["concatenate", "multitask", "euclidean", "contrastive", "incremental", "random"])
@pytest.mark.parametrize("order", [("moco", "densecl"), ("densecl", "moco")])
def test_every_method_makes_an_encoder_of_pictures(pictures, name, order):
    recipe = with_settings(pictures, method={"name": name, "tasks": order}, optim__steps=1, optim__epochs=None)
    result = train(recipe)
    stages = {"concatenate": 2, "multitask": 1, "euclidean": 3, "contrastive": 3, "incremental": 2, "random": 0}
    assert result.total == stages[name]
    encoder = load_encoder(recipe.run)
    assert encoder(torch.zeros(1, 3, 64, 64)).shape == (1, 1024 if name == "concatenate" else 512, 2, 2)
    if name == "incremental":
        (line,) = read_log(recipe.run / f"2-{order[1]}")
        assert line["moved"] == 0  # nothing was learned yet, so nothing was forgotten
        first = load_encoder_of(recipe.run / f"single-{order[0]}")
        assert any(not torch.equal(value, first[name]) for name, value in encoder.state_dict().items())


def load_encoder_of(stage: Path) -> dict[str, torch.Tensor]:
    state = load_checkpoint(stage)["model"]
    return {name.removeprefix("encoder."): value for name, value in state.items() if name.startswith("encoder.")}


def test_tasks_of_sound_and_of_pictures_do_not_mix(pictures):
    with pytest.raises(ValueError, match="must all be of sound, or all of pictures"):
        with_settings(pictures, method={"name": "multitask", "tasks": ("moco", "gap")})
    with pytest.raises(ValueError, match="progressive has columns of sound encoders only"):
        with_settings(pictures, method={"name": "progressive", "tasks": ("moco", "densecl")})


def test_a_set_of_clips_is_refused_in_one_sentence(pictures, shards):
    with pytest.raises(ValueError, match="read it with ClipLoader"):
        train(with_settings(pictures, data__path=str(shards)))


def test_a_teacher_that_hears_cannot_teach_pictures(pictures, tasks, tmp_path):
    sound = Recipe.model_validate(tasks | {"run": str(tmp_path / "sound"), "method": {"name": "random"}})
    train(sound)
    method = {"name": "incremental", "tasks": ("moco", "densecl"), "teachers": {"moco": str(sound.run)}}
    with pytest.raises(ValueError, match="the teacher of 'moco' is of kind='sound' and sees no pictures"):
        train(with_settings(pictures, method=method))


def test_a_queue_that_the_batch_does_not_divide_is_one_sentence(pictures):
    with pytest.raises(ValueError, match="a queue of 12 keys takes batches that divide it, not 8"):
        train(with_settings(pictures, contrast__queue=12))


def test_knn_is_that_of_the_encoder(pictures):
    """By hand: cosine, five neighbours, votes by likeness, among as many pictures of the training split as asked for."""
    recipe = with_settings(pictures, method={"name": "random", "tasks": ("moco",)})
    train(recipe)
    from train.objectives.moco import MoCo
    from train.validate import neighbours
    from train.world import World

    objective = MoCo.from_recipe(recipe, load_encoder(recipe.run))
    features = {}
    for split in ("train", "val"):
        options = {"batch_size": 8, "split": split, "epochs": 1, "last_batch": "partial"}
        with ImageLoader(recipe.data.path, spec_of(recipe, ("view0",), augment=False), **options) as loader:
            rows = [(objective.encoder.eval()(b["view0"]).mean((2, 3)).detach(), b["label"]) for b in loader]
        features[split] = torch.cat([r for r, _ in rows]), torch.cat([label for _, label in rows])
    bank, names = (values[: recipe.neighbours.bank] for values in features["train"])
    right = 0
    for query, label in zip(*features["val"], strict=True):
        likeness = torch.nn.functional.cosine_similarity(bank, query[None])
        votes = torch.zeros(3)
        for place in likeness.argsort(descending=True)[:5]:
            votes[names[place]] += (likeness[place] / 0.07).exp()
        right += int(votes.argmax() == label)
    assert neighbours(objective, recipe, World(0, 1, torch.device("cpu"))) == {"knn": pytest.approx(right / 12)}
    assert objective.training


def test_sound_is_told_by_its_recording(tasks):
    recipe = Recipe.model_validate(tasks | {"neighbours": {"k": 1}, "objective": {"name": "gap"}})
    train(recipe)
    (line,) = read_log(recipe.run, VALIDATION)
    assert 0 <= line["knn"] <= 1
