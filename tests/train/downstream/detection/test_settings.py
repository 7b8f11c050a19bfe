"""Recipes of detection: those of the package can be read, what is wrong is named, and a saved one comes back equal."""

import pytest

from train.downstream.detection.settings import Detection, differences
from train.downstream.detection.settings_file import RECIPES, dump_detection, load_detection


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_recipes_of_the_package(name, tmp_path):
    settings = load_detection(name, ["seed=3", "data.min_size=[64, 128]", "run=77"])
    assert (settings.seed, settings.data.min_size, str(settings.run)) == (3, (64, 128), "77")
    (tmp_path / "saved.yaml").write_text(dump_detection(settings))
    assert load_detection(tmp_path / "saved.yaml") == settings


def test_the_published_schedule():
    settings = load_detection("coco-1x")
    optim = settings.optim
    assert (optim.lr, optim.lr_batch, optim.momentum, optim.weight_decay) == (0.02, 16, 0.9, 1e-4)
    assert (optim.milestones, optim.steps, settings.data.batch_size) == ((60_000, 80_000), 90_000, 2)
    assert (settings.data.min_size[-1], settings.data.max_size) == (800, 1333)
    assert (settings.backbone, settings.heads.convolutions, settings.heads.channels) == ("resnet50", 4, 256)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lrr=1", "unknown key 'optim.lrr' in section 'optim' of the recipe .the command line.; did you mean 'lr'"),
        ("optim.lr=-1", "optim.lr in the command line: input should be greater than 0, not -1"),
        ("data.min_size=[]", "data.min_size in the command line: tuple should have at least 1 item"),
        ("data.min_size=[1600]", r"min_size=\[1600\] must not exceed max_size=1333"),
        ("optim.milestones=[3, 2]", r"milestones=\[3, 2\] must rise"),
        ("backbone=vgg", "backbone in the command line: input should be 'resnet18' or 'resnet50', not 'vgg'"),
        ("nothing", "override 'nothing' should read key=value"),
        ("seed.x=1", "'seed' is a value and has no settings of its own"),
        ("seed=[", "is not a value that YAML can read"),
    ],
)
def test_what_is_wrong_is_named(override, message):
    with pytest.raises(ValueError, match=message):
        load_detection("coco-1x", [override])


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(FileNotFoundError, match="give one of coco-1x, coco-tiny, or the path"):
        load_detection("coco-9x")
    for text, message in (("- 1", "it holds list"), ("a: [", "is not valid YAML")):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(ValueError, match=message):
            load_detection(tmp_path / "x.yaml")


def test_what_may_change_when_a_training_goes_on():
    old = Detection()
    new = old.model_copy(update={"log_every": 7, "data": old.data.model_copy(update={"threads": 9})})
    assert differences(old, new) == []
    new = old.model_copy(update={"optim": old.optim.model_copy(update={"lr": 0.5})})
    assert differences(old, new) == ["optim.lr: 0.02 there, 0.5 here"]
