"""The stage bench: what is measured, and how the ceiling follows from it. No figure is judged here."""

import json

import pytest

from benchmarks.loader.contenders import decode_cpu, frames_cpu, rotate_cpu, spectrogram_cpu
from benchmarks.loader.stages import stages
from dataio import ClipSpec

SPEC = ClipSpec(frames=4, size=(32, 64), pairs=("front", "left"), yaw_classes=4)


@pytest.fixture(scope="module")
def result(shards):
    return stages(shards, SPEC, batch_size=4, threads=2, rounds=1, seconds=0.05, say=lambda text: None)


def test_ceiling_is_made_of_the_fastest(result):
    best = {stage: max(r["median"] for r in group.values()) for stage, group in result["stages"].items()}
    for stage, name in result["fastest"].items():
        assert result["stages"][stage][name]["median"] == best[stage]
    frames = min(1 / best["decode"] + 1 / best["rotate"], 1 / best["frames"])
    assert result["ceiling"] == pytest.approx(1 / (frames + 1 / best["spectrogram"]))
    assert result["share"] == pytest.approx(result["loader"] / result["ceiling"])


def test_every_stage_has_its_contenders(result):
    assert {stage: len(group) for stage, group in result["stages"].items()} == {
        "read": 1,
        "decode": 3,
        "rotate": 2,
        "frames": 3,
        "spectrogram": 3,
        "loader": 1,
    }
    assert json.loads(json.dumps(result))["machine"]["packages"]["torch"]


def test_contenders_do_the_same_work(shards):
    """A contender that did less would raise the ceiling for nothing: all decode to the same pixels, and to the same spectrogram."""
    import numpy as np

    from dataio.stream.reader import ClipReader
    from dataio.stream.store.local import LocalStore

    with LocalStore(shards) as store:
        raws = [ClipReader(store, SPEC).read(clip, 0, 0, False) for clip in range(2)]
        size = store.manifest.media.size
    with decode_cpu(raws, size, 1) as found:
        assert len(found) == 3
        first, *others = (np.array(run()) for run in found.values())
        assert first.shape == (8, *size, 3) and all(np.array_equal(first, other) for other in others)
    with frames_cpu(raws, size, SPEC, 1) as found:
        assert len(found) == 3
        first, *others = (np.array(run()) for run in found.values())
        assert first.shape == (2, 3, 4, *SPEC.size) and all(np.array_equal(first, other) for other in others)
    with spectrogram_cpu(raws, SPEC, 1) as found:
        ours, dali, rfft = (run() for run in found.values())
        rfft = np.stack([ear.numpy() for ear in rfft])
        assert ours.shape == (2, 4, 257, 601) and dali.shape == rfft.shape == (8, 257, 601)
        assert np.abs(ours.reshape(dali.shape) - dali).mean() < 1e-3 and np.abs(dali - rfft).mean() < 1e-3
    with rotate_cpu(raws, size, SPEC, 1) as found:
        assert {run().shape for run in found.values()} == {(2, 3, 4, *SPEC.size)}


def test_a_set_smaller_than_a_batch(shards):
    with pytest.raises(ValueError, match="holds 24 clips, fewer than batch_size=25"):
        stages(shards, SPEC, batch_size=25, threads=1, rounds=1, seconds=0.05, say=lambda text: None)


def test_a_gpu_that_is_not_there_is_not_measured(shards):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="no usable GPU"):
        stages(shards, SPEC, batch_size=4, threads=1, rounds=1, seconds=0.05, device="cuda", say=lambda text: None)
