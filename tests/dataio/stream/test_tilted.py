"""Tilted batches, whoever decodes them, against the level ones of the same clips, tilted."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from dataio import ClipLoader, ClipSpec
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings
from dataio.stream.health import Health
from dataio.stream.kernels import rotate, tilt, tilt_maps
from dataio.stream.kernels.tilt import Turn

SIZE = (32, 64)
SPEC = ClipSpec(frames=2, size=SIZE, pairs=(), flow=True, mask=True, labels=True, yaw_classes=4, augment=("mirror",))


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tilted")
    write_recordings(folder / "raw", recordings=2, seconds=4.0, seed=5, size=(64, 128))
    for name in ("jpeg", "h264"):
        options = EncodeOptions(size=SIZE, rate=8000, flow=True, mask=True, frames=name)
        build(folder / "raw", folder / name, BuildOptions(options, split="train=1"), local(1))
    return {name: folder / name for name in ("jpeg", "h264")}


def batch(shards: Path, spec: ClipSpec, **options: str) -> tuple[dict[str, torch.Tensor], list]:
    with ClipLoader(shards, spec, batch_size=4, seed=2, epochs=1, health=Health(None, rate=0, after=0), **options) as loader:
        first = next(iter(loader))
        return first, loader.planned(0, np.arange(4))


def levels(frames: torch.Tensor) -> np.ndarray:
    """(F, H, W, 3) uint8 of a clip that was not resized."""
    shown = (frames.numpy().transpose(1, 2, 3, 0) * np.array(rotate.STD) + np.array(rotate.MEAN)) * 255
    return np.rint(shown).astype(np.uint8)


@pytest.mark.parametrize(("form", "decoder"), [("jpeg", "turbo"), ("jpeg", "torchvision"), ("jpeg", "dali"), ("h264", "pyav")])
def test_batches_are_the_level_ones_tilted(forms: dict[str, Path], form: str, decoder: str) -> None:
    if decoder == "dali" and find_spec("nvidia.dali") is None:
        pytest.skip("without DALI")
    options = {"decoder": decoder}
    level, _ = batch(forms[form], replace(SPEC, yaw_classes=None, augment=()), **options)
    tilted, picks = batch(forms[form], replace(SPEC, tilt=40), **options)
    plan = rotate.plan(SIZE, SIZE)
    assert torch.equal(level["clip"], tilted["clip"]) and len({pick.mirror for pick in picks}) == 2
    for i in range(4):
        pick = picks[i]
        turn = Turn(pick.shift, pick.mirror, pick.pitch, pick.roll)
        expected, found = np.empty((3, 2, *SIZE), np.float32), tilt.places(SIZE, SIZE, turn)
        for f, picture in enumerate(levels(level["frames"][i])):
            tilt.rotate_one(picture, f, found, plan, expected)
        assert np.abs(tilted["frames"][i].numpy() - expected).max() < 1e-4
        for name in ("mask", "labels"):
            map_ = np.empty(SIZE, np.uint8)
            tilt_maps.turn_labels(level[name][i, 0].numpy(), turn, map_)
            assert np.array_equal(tilted[name][i, 0].numpy(), map_)
        assert torch.isfinite(tilted["flow"][i]).all()
    assert tilted["flow"].any() and not torch.equal(tilted["flow"], level["flow"])


def test_a_tilt_of_zero_changes_nothing(forms: dict[str, Path]) -> None:
    plain, _ = batch(forms["jpeg"], SPEC)
    zero, picks = batch(forms["jpeg"], replace(SPEC, tilt=0))
    assert all(torch.equal(plain[name], zero[name]) for name in plain) and all(pick.tilt is None for pick in picks)


def test_the_same_clip_is_tilted_the_same_again_and_otherwise_in_the_next_epoch(forms: dict[str, Path]) -> None:
    spec = replace(SPEC, tilt=15)
    once, picks = batch(forms["jpeg"], spec)
    again, _ = batch(forms["jpeg"], spec)
    assert all(torch.equal(once[name], again[name]) for name in once)
    with ClipLoader(forms["jpeg"], spec, batch_size=2, seed=2, health=Health(None, rate=0, after=0)) as loader:
        following = {pick.clip: pick.tilt for pick in loader.planned(1, np.arange(2))}
    assert following and all(pick.tilt != following.get(pick.clip) for pick in picks)
