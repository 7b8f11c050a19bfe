"""DALI as the decoder: the same clips as without it, and no end of the run when it meets what it cannot decode."""

import json

import numpy as np
import pytest
import torch

from dataio import ClipLoader, ClipSpec
from dataio.stream.health import Health
from tests.tiny import TINY, tiny_set

WHOLE = ClipSpec(frames=4, size=(32, 64), pairs=("front", "back"), yaw_classes=4, augment=("mirror",))


def test_the_same_batches_as_from_libjpeg_turbo(shards):
    """Within two grey levels on 99.9 % of the pixels; everything else identical."""
    from dataio.stream.kernels.rotate import STD

    with (
        ClipLoader(shards, WHOLE, batch_size=5, decoder="dali", epochs=1) as ours,
        ClipLoader(shards, WHOLE, batch_size=5) as theirs,
    ):
        assert ours.report()["decoder"] == "dali" and theirs.report()["decoder"] == "turbo"
        count = 0
        for a, b in zip(ours, theirs, strict=True):
            count += 1
            assert set(a) == set(b)
            for name in set(a) - {"frames"}:
                assert torch.equal(a[name], b[name]), name
            levels = (a["frames"] - b["frames"]).abs().numpy() * np.array(STD).reshape(1, 3, 1, 1, 1) * 255
            assert np.quantile(levels, 0.999) <= 2
        assert count == 4


def test_what_dali_cannot_decode_is_found_replaced_and_listed(tmp_path):
    cut, empty, foreign = {11, 52}, {37}, {3, 99}
    pictures = (
        {clip: lambda data: data[: len(data) // 2] for clip in cut}
        | {clip: lambda data: b"" for clip in empty}
        | {clip: lambda data: b"no picture at all" * 9 for clip in foreign}
    )
    bad = cut | empty | foreign
    shards = tiny_set(tmp_path / "set", 120, pictures=pictures)
    order = {}
    for decoder in ("dali", "turbo"):
        quarantine = tmp_path / f"{decoder}.jsonl"
        with ClipLoader(shards, TINY, batch_size=20, decoder=decoder, health=Health(quarantine), epochs=2) as loader:
            batches = [batch for _ in range(2) for batch in loader]
            report = loader.report()["health"]
        order[decoder] = [clip for batch in batches for clip in batch["clip"].tolist()]
        lines = [json.loads(line) for line in quarantine.read_text().splitlines()]
        assert {(line["key"], line["extension"]) for line in lines} == {(f"r{c % 7}-{c // 7:06d}", "f001.jpg") for c in bad}
        assert len(lines) == len(bad) == report["clips"]
        assert all(torch.isfinite(batch["frames"]).all() for batch in batches)
    assert order["dali"] == order["turbo"] and not set(order["dali"]) & bad


def test_a_clip_that_comes_instead_comes_with_its_own_sound_and_yaw(tmp_path):
    """All of it is the other clip's, not the picture alone."""
    shards = tiny_set(tmp_path / "set", 60, pictures={clip: lambda data: b"" for clip in (5, 17, 30)})
    seen: dict[int, list[torch.Tensor]] = {}
    repeated = 0
    with ClipLoader(shards, TINY, batch_size=10, decoder="dali", health=Health(None), epochs=1) as loader:
        for batch in loader:
            for i, clip in enumerate(batch["clip"].tolist()):
                parts = [batch[name][i] for name in ("frames", "sound", "yaw", "sound_start", "recording")]
                if clip in seen:
                    repeated += 1
                    assert all(torch.equal(a, b) for a, b in zip(seen[clip], parts, strict=True))
                seen[clip] = parts
    assert repeated == 3


def test_a_decoder_that_cannot_is_refused(shards):
    with pytest.raises(ValueError, match=r"decoder='pyav' does not decode jpeg on cpu; turbo, torchvision, dali can"):
        ClipLoader(shards, WHOLE, batch_size=2, decoder="pyav")
    with pytest.raises(ValueError, match=r"decoder='magic' must be one of auto, turbo"):
        ClipLoader(shards, WHOLE, batch_size=2, decoder="magic")
