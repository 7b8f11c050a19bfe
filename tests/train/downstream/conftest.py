"""Small shards with everything an evaluation reads, and an encoder to judge."""

from pathlib import Path

import pytest
import torch

from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings
from train.encoder_file import save_encoder
from train.modality import SOUND
from train.recipe import Recipe
from train.recipe_file import dump_recipe


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> Path:
    """5 recordings of 8 s with four pairs and class maps, frames of 32 × 64."""
    folder = tmp_path_factory.mktemp("judged")
    write_recordings(folder / "raw", recordings=5, seconds=8, seed=7, size=(32, 64), fps=4)
    return folder / "raw"


@pytest.fixture(scope="session")
def judged(scenes, tmp_path_factory) -> Path:
    """4 clips of each: 12 to train on, 8 held out; motion, foreground and class maps."""
    out = tmp_path_factory.mktemp("judged-shards") / "shards"
    encode = EncodeOptions(size=(32, 64), fps=2, rate=16_000, flow=True, mask=True)
    build(scenes, out, BuildOptions(encode=encode, split="train=0.6,val=0.4"), local(1))
    return out


@pytest.fixture
def judging(judged, tmp_path) -> Recipe:
    """A recipe that trains a tiny head for 2 steps; 8 held-out clips do not divide into its batches of 3."""
    return Recipe.model_validate({
        "data": {
            "path": str(judged), "batch_size": 3, "frames": 2, "size": [32, 64], "pairs": ["front"], "sound_rate": 16_000,
            "sound_seconds": 1.5, "threads": 1,
        },
        "model": {"sound_width": 2, "sound_pool_time": 2, "video_width": 2, "azimuths": 8, "embedding": 8},
        "optim": {"steps": 1},
        "downstream": {"map_size": [16, 32], "width": 4, "targets": ["back"], "decode_time": False, "optim": {"steps": 2}},
        "run": str(tmp_path / "run"),
        "device": "cpu",
        "compute_threads": 1,
    })  # fmt: skip


@pytest.fixture
def run(judging) -> Path:
    """A run folder as training leaves it: a recipe and an encoder, untrained."""
    judging.run.mkdir()
    (judging.run / "recipe.yaml").write_text(dump_recipe(judging))
    torch.manual_seed(5)
    save_encoder(judging.run, SOUND.untrained(judging))
    return judging.run
