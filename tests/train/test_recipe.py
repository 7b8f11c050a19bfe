"""Recipes are typed, complete, and say what is wrong with them."""

import subprocess
import sys

import pytest
import yaml

from train.recipe import Recipe, differences
from train.recipe_file import RECIPES, dump_recipe, load_recipe

NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))


def test_the_promised_recipes_are_there():
    assert {"spatial", "spatial-front"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_of_the_package_loads_and_survives_a_round_trip(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / "copy.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "copy.yaml") == recipe


def test_front_differs_from_all_by_what_one_pair_needs():
    assert load_recipe("spatial-front").data.pairs == ("front",)


def test_overrides_are_typed():
    recipe = load_recipe(
        "spatial",
        ["optim.lr=3e-4", "data.pairs=[front,back]", "optim.epochs=null", "optim.steps=7", "run=123", "data.size=[32,64]"],
    )
    assert recipe.optim.lr == 3e-4
    assert recipe.data.pairs == ("front", "back")
    assert (recipe.optim.epochs, recipe.optim.steps) == (None, 7)
    assert str(recipe.run) == "123"
    assert recipe.data.size == (32, 64)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optim.lrr=1", "unknown key 'optim.lrr' in section 'optim' of the recipe (the command line); did you mean 'lr'?"),
        ("sead=1", "unknown key 'sead' in the top level of the recipe (the command line); did you mean 'seed'?"),
        ("data.zzz=1", "unknown key 'data.zzz' in section 'data' of the recipe (the command line); allowed here: path, batch_size"),
        ("optim.lr=fast", "optim.lr in the command line: input should be a valid number"),
        ("optim.lr=-1", "optim.lr in the command line: input should be greater than 0, not -1"),
        ("precision=int8", "precision in the command line: input should be 'fp32', 'bf16', 'fp16' or 'auto', not 'int8'"),
        ("optim.steps=5", "optim in the command line: set one of epochs and steps, and the other to null; got epochs="),
        ("seed.x=1", "override 'seed.x=1': 'seed' is a value"),
        ("seed", "override 'seed' should read key=value"),
        ("seed=[", "override 'seed=[': '[' is not a value that YAML can read"),
    ],
)
def test_wrong_overrides_get_one_clear_sentence(override, said):
    with pytest.raises(ValueError) as caught:
        load_recipe("spatial", [override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_misspelt_key_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: {sound_widht: 4}\noptim: {epochs: 1}\n")
    with pytest.raises(ValueError) as caught:
        load_recipe(path)
    assert "'model.sound_widht'" in str(caught.value)
    assert str(path) in str(caught.value)
    assert "'sound_width'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [("- 1", "it holds list"), ("a: [", "not valid YAML"), ("", "it holds NoneType"), ("{}", "optim")]
)
def test_files_that_are_no_recipe(tmp_path, text, said):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        load_recipe(tmp_path / "bad.yaml")


def test_a_missing_recipe_lists_those_there_are():
    with pytest.raises(FileNotFoundError, match="no recipe 'spatail': give one of .*spatial"):
        load_recipe("spatail")


def test_differences_ignore_what_does_not_change_what_is_learned():
    one = load_recipe("spatial")
    assert differences(one, load_recipe("spatial", ["run=elsewhere", "data.threads=7", "log_every=3"])) == []
    assert differences(one, load_recipe("spatial", ["optim.lr=9e-4", "seed=5"])) == [
        f"optim.lr: {one.optim.lr} there, 0.0009 here",
        f"seed: {one.seed} there, 5 here",
    ]


def test_settings_cannot_change_after_reading():
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("spatial").seed = 3


def test_yaml_of_a_recipe_is_plain(recipe: Recipe):
    assert yaml.safe_load(dump_recipe(recipe))["data"]["pairs"] == ["front"]


def test_help_does_not_wait_for_torch():
    code = "import sys, train.cli; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'pydantic')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
