"""From a run folder to a result: heads are trained, gone on with, judged again, and not mistaken for others."""

import json

import pytest
import torch
from PIL import Image

from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from train.checkpoint import load_checkpoint
from train.downstream import DOWNSTREAM
from train.downstream.run import judge
from train.encoder_file import load_encoder, save_encoder
from train.modality import SOUND
from train.recipe import Recipe


def changed(recipe: Recipe, section: str, **settings) -> Recipe:
    return recipe.model_copy(update={section: getattr(recipe, section).model_copy(update=settings)})


@pytest.mark.parametrize("task", list(DOWNSTREAM))
def test_a_result_and_its_picture(judging, run, task):
    found, result = judge(judging, task, run / task, encoder=run)
    assert (found["clips"], found["split"], found["steps"], result.step) == (8, "val", 2, 2)
    assert list(found)[7] == DOWNSTREAM[task].MERIT
    assert json.loads((run / task / "result.json").read_text()) == found
    with Image.open(run / task / "figure.png") as picture:
        assert picture.width == 1320
        assert picture.convert("RGB").getpixel((picture.width - 1, 0)) == (255, 255, 255)
    before = (run / task / "figure.png").read_bytes()
    again, nothing = judge(judging, task, run / task, encoder=run)
    assert again == found
    assert nothing.seconds == 0
    assert (run / task / "figure.png").read_bytes() == before


def test_the_encoder_is_frozen_or_learns(judging, run):
    judge(judging, "vr", run / "vr", encoder=run)
    state = load_checkpoint(run / "vr")["model"]
    for name, value in load_encoder(run).state_dict().items():
        assert torch.equal(state[f"encoder.encoder.{name}"], value)
    judge(judging, "vr", run / "vr-supervised", encoder=None)
    learned = load_checkpoint(run / "vr-supervised")["model"]
    torch.manual_seed(judging.seed)
    began = SOUND.untrained(judging).state_dict()
    assert any(not torch.equal(learned[f"encoder.{name}"], value) for name, value in began.items() if name.endswith("weight"))


def test_a_head_with_other_settings_is_not_taken_for_this_one(judging, run):
    judge(judging, "sp", run / "sp", encoder=run)
    with pytest.raises(ValueError, match=r"sp holds a head with other settings \(downstream.width: 4 there, 6 here\)"):
        judge(changed(judging, "downstream", width=6), "sp", run / "sp", encoder=run)
    judge(changed(judging, "downstream", epochs={"vr": 7}), "sp", run / "sp", encoder=run)  # says nothing about sp


def test_a_head_for_an_encoder_that_was_trained_anew_is_not_taken_for_its(judging, run):
    judge(judging, "sp", run / "sp", encoder=run)
    torch.manual_seed(99)
    save_encoder(run, SOUND.untrained(judging))
    with pytest.raises(ValueError, match="sp holds a head for another encoder"):
        judge(judging, "sp", run / "sp", encoder=run)


def test_what_a_head_learned_from_is_not_held_out(judging, run):
    with pytest.raises(ValueError, match="split='train' is what the head of sp learns from"):
        judge(judging, "sp", run / "sp", encoder=run, split="train")


def test_the_encoder_hears_as_many_ears_as_there_are(judging, run):
    with pytest.raises(ValueError, match="the encoder hears 2 ears; data.pairs=\\['front', 'back'\\] gives 4"):
        judge(changed(judging, "data", pairs=("front", "back")), "vr", run / "vr", encoder=run)


@pytest.fixture(scope="module")
def poor(scenes, tmp_path_factory):
    """Shards of the same recordings with the front pair only, and without class maps."""
    folder = tmp_path_factory.mktemp("poor")
    (folder / "raw").mkdir()
    for scene in (path.parent for path in sorted(scenes.glob("*/video.mp4"))):
        (folder / "raw" / f"{scene.name}.mp4").symlink_to(scene / "video.mp4")
        (folder / "raw" / f"{scene.name}.wav").symlink_to(scene / "front.wav")
    options = BuildOptions(encode=EncodeOptions(size=(32, 64), fps=2, rate=16_000), split="train=0.6,val=0.4")
    build(folder / "raw", folder / "shards", options, local(1))
    return folder / "shards"


@pytest.mark.parametrize(
    ("task", "lacks"),
    [
        ("sp", "labels=True: it comes from class maps beside the recordings"),
        ("s3r", "this set has no right, back, left; it has front"),
    ],
)
def test_shards_that_lack_something_are_named_with_it(judging, run, poor, task, lacks):
    with pytest.raises(ValueError, match=rf"shards does not do for {task}: .*{lacks}"):
        judge(changed(judging, "data", path=str(poor)), task, run / task, encoder=run)
