"""Runs that begin on smaller views: which step sees which, what is made of a batch, and a run that is stopped between two sizes."""

import signal
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as reference

from tests.train.test_loop import losses, stop_at, with_settings
from train.checkpoint import load_checkpoint
from train.fields import VIEWS
from train.objectives.moco import MoCo
from train.recipe import Views
from train.recipe_file import load_recipe
from train.resizing import resized, side_at
from train.run import train


@given(st.lists(st.floats(0, 1), unique=True, max_size=4).map(sorted), st.integers(1, 200))
def test_stages_follow_each_other_and_end_at_their_share_to_half_a_step(ends, total):
    stages = tuple((end, 16 + number) for number, end in enumerate(ends))
    sides = [side_at(Views(size=64, progressive=stages), step, total) for step in range(total)]
    assert all(one <= two for one, two in pairwise(sides))
    for number, end in enumerate(ends):
        assert abs(sum(side <= 16 + number for side in sides) - end * total) <= 0.5


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_views_are_what_torchvision_makes_of_them_and_the_rest_stays(layout):
    views = torch.randn(4, 3, 32, 32).contiguous(memory_format=layout)
    batch = {"view0": views, "view1": views.flip(0), "label": torch.arange(4), "clip": torch.arange(4)}
    smaller = resized(batch, 20)
    for name in VIEWS:
        torch.testing.assert_close(smaller[name], reference.resize(batch[name], [20, 20], antialias=True))
        assert smaller[name].is_contiguous(memory_format=layout)
    assert smaller["label"] is batch["label"] and list(smaller) == list(batch)
    assert resized(batch, 32) is batch
    sound = {"sound": torch.randn(2, 2, 8, 8)}
    assert resized(sound, 32) is sound


@pytest.mark.parametrize("task", ["moco", "densecl"])
def test_a_run_that_grows_resumes_to_the_bit(pictures, tmp_path, monkeypatch, task):
    """Six steps: three at 16 pixels, two at 24, one at 32; stopped where a size ends, and within one."""
    seen = []
    encode = MoCo.keys
    monkeypatch.setattr(
        MoCo, "keys", lambda self, view, of: (seen.append(view.shape[-1]) if self.training else None, encode(self, view, of))[1]
    )
    stages = ((0.5, 16), (0.8, 24))
    straight = with_settings(pictures, run=str(tmp_path / "straight"), objective__name=task, views__progressive=stages)
    train(straight)
    assert seen == [16, 16, 16, 24, 24, 32]
    plain = with_settings(pictures, run=str(tmp_path / "plain"), objective__name=task)
    train(plain)
    assert losses(plain)[0] != losses(straight)[0]

    broken = with_settings(pictures, run=str(tmp_path / "broken"), objective__name=task, views__progressive=stages)
    for at in (3, 4):
        stop_at(at, lambda: train(broken), signal.SIGTERM, 143)
    train(broken)
    assert losses(broken) == losses(straight)
    one, two = (load_checkpoint(recipe.run)["model"] for recipe in (straight, broken))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_the_log_says_when_views_grow(pictures, capsys):
    train(with_settings(pictures, views__progressive=((0.5, 16), (0.8, 24))))
    said = " ".join(capsys.readouterr().err.split())
    assert "views of 16 pixels up to step 3, of 24 pixels up to step 5, then of 32 pixels" in said


@pytest.mark.parametrize("stages", ["[[0.5, 16], [0.2, 24]]", "[[0.5, 16], [0.5, 24]]", "[[0.5, 300]]"])
def test_stages_that_do_not_fit_are_one_sentence(stages):
    with pytest.raises(ValueError) as caught:
        load_recipe("images-laptop", [f"views.progressive={stages}"])
    assert "shares of the run that rise, each with a side of at most size=64" in str(caught.value)
    assert "\n" not in str(caught.value)
