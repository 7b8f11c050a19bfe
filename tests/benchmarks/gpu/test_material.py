"""The sets of the check: whole, the same every time, and read as any other."""

import numpy as np
import pytest
import torch

from benchmarks.gpu import material
from dataio import ClipLoader, ClipSpec
from dataio.format.clip import PAIRS
from dataio.format.flow import decode_flow
from dataio.format.manifest import load
from dataio.stream.health import Health


def test_flow_is_written_as_kittis():
    rng = np.random.default_rng(0)
    flow, known = rng.normal(0, 9, (7, 5, 2)), rng.random((7, 5)) < 0.7
    found, valid = decode_flow(material._flow(flow, known))
    assert np.array_equal(valid, known)
    assert np.abs(found - flow)[known].max() <= 1 / 128


def test_clips_with_everything(tmp_path):
    shards = material.whole(tmp_path / "one")
    spec = ClipSpec(frames=4, size=(32, 64), pairs=PAIRS, sound_rate=8000, sound_seconds=0.25, flow=True, mask=True, labels=True)
    with ClipLoader(shards, spec, batch_size=12, epochs=1) as loader:
        (batch,) = loader
    assert {"frames", "sound", "flow", "mask", "labels"} <= set(batch)
    assert len(batch["labels"].unique()) > 1
    assert load(material.whole(tmp_path / "two")).fingerprint == load(shards).fingerprint


def test_damage_is_only_found_by_decoding(tmp_path):
    shards = material.whole(tmp_path / "damaged", damaged=(2, 7))
    spec = ClipSpec(frames=4, size=(32, 64), sound_rate=8000, sound_seconds=0.25)
    with ClipLoader(shards, spec, batch_size=12, epochs=1, health=Health(None, rate=1.0)) as loader:
        (batch,) = loader
        assert loader.report()["health"]["corrupt"] >= 2  # more where one is to replace the other
    assert not torch.isin(torch.tensor([2, 7]), batch["clip"]).any()


@pytest.mark.parametrize("name", ["jpeg", "hevc-30", "av1-8"])
def test_formats_hold_the_same_pictures(tmp_path, name):
    shards, length, psnr = material.formats(tmp_path, name, small=True)
    assert psnr > 30 and length > 0
    spec = ClipSpec(frames=30, size=(64, 128), pairs=())
    with ClipLoader(shards, spec, batch_size=4, epochs=1, shuffle=False) as loader:
        (batch,) = loader
    assert batch["frames"].shape == (4, 3, 30, 64, 128)
    assert material.formats(tmp_path, name, small=True) == (shards, length, psnr)
