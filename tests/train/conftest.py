"""Small real shards to train on, and a recipe that takes a second."""

from pathlib import Path

import pytest

from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings
from train.recipe import Recipe


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Path:
    """5 scenes of 8 s: 4 clips each, frames of 32 × 64; 3 recordings to train on, 2 held out."""
    folder = tmp_path_factory.mktemp("scenes")
    write_recordings(folder / "raw", recordings=5, seconds=8, seed=7, size=(32, 64), fps=4)
    options = BuildOptions(encode=EncodeOptions(size=(32, 64), fps=2), split="train=0.6,val=0.4")
    build(folder / "raw", folder / "shards", options, local(1), lambda progress: None)
    return folder / "shards"


@pytest.fixture(scope="session")
def moving(tmp_path_factory) -> Path:
    """As `shards`, with motion and moving foreground, and sound at 16 kHz: all that the four tasks read."""
    folder = tmp_path_factory.mktemp("moving")
    write_recordings(folder / "raw", recordings=5, seconds=8, seed=7, size=(32, 64), fps=4)
    encode = EncodeOptions(size=(32, 64), fps=2, rate=16_000, flow=True, mask=True)
    build(folder / "raw", folder / "shards", BuildOptions(encode=encode, split="train=0.6,val=0.4"), local(1))
    return folder / "shards"


@pytest.fixture
def tasks(moving, tmp_path) -> dict:
    """Settings of a recipe for any task and method, of 2 steps a stage."""
    data = {"path": str(moving), "batch_size": 4, "frames": 2, "size": [32, 64], "pairs": ["front"], "threads": 1}
    return {
        "data": data | {"sound_rate": 16_000, "sound_seconds": 1.0, "reach": 8.0},
        "model": {"sound_width": 2, "sound_pool_time": 2, "video_width": 2, "azimuths": 8, "head_channels": 4, "embedding": 8},
        "optim": {"lr": 1e-3, "steps": 2},
        "run": str(tmp_path / "run"),
        "device": "cpu",
        "compute_threads": 1,
        "validate_every": 100,
    }


@pytest.fixture
def settings(shards, tmp_path) -> dict:
    """Settings of a recipe that trains a tiny model for 6 steps, 3 an epoch."""
    return {
        "data": {
            "path": str(shards),
            "batch_size": 4,
            "frames": 2,
            "size": [32, 64],
            "pairs": ["front"],
            "augment": ["turn", "mirror"],
        },
        "model": {"sound_width": 2, "sound_pool_time": 16, "video_width": 2, "azimuths": 8, "head_channels": 4},
        "optim": {"lr": 1e-3, "epochs": 2, "warmup_steps": 2},
        "run": str(tmp_path / "run"),
        "device": "cpu",
        "compute_threads": 1,
        "log_every": 2,
        "validate_every": 2,
    }


@pytest.fixture
def recipe(settings) -> Recipe:
    return Recipe.model_validate(settings)


@pytest.fixture(scope="session")
def stills(tmp_path_factory) -> Path:
    """Pictures in the classes ant, bee and cat: 48 of the split train, 12 of val."""
    from tests.dataio.stream.images.stills import jpeg, photo

    folder = tmp_path_factory.mktemp("stills")
    for split, count in (("train", 48), ("val", 12)):
        for i in range(count):
            path = folder / "source" / split / ("ant", "bee", "cat")[i % 3] / f"{i:03d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(photo(40 + 3 * (i % 5), 40 + 5 * (i % 4), i + 100 * (split == "val"))).tobytes())
    options = BuildOptions(EncodeOptions(), layout="images", shard_bytes=20_000)
    build(folder / "source", folder / "shards", options, local(1))
    return folder / "shards"


@pytest.fixture
def pictures(stills, tmp_path) -> dict:
    """Settings of a recipe for tasks on pictures, of 6 steps an epoch."""
    return {
        "data": {"path": str(stills), "batch_size": 8, "threads": 1},
        "views": {"size": 32, "short": 36},
        "model": {"picture": "resnet18"},
        "objective": {"name": "moco"},
        "contrast": {"queue": 16, "hidden": 8, "out": 4, "groups": 2},
        "optim": {"kind": "sgd", "lr": 0.01, "decay": "all", "epochs": 1},
        "neighbours": {"k": 5, "bank": 24},
        "run": str(tmp_path / "run"),
        "device": "cpu",
        "compute_threads": 1,
        "log_every": 1,
    }
