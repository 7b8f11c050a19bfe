"""ImageLoader as a user meets it: MoCo's views, in the order and with the state and health of every loader."""

import json

import numpy as np
import pytest
import torch

from dataio import ClipLoader, ClipSpec, Health, ImageLoader, ViewSpec
from dataio.stream.images.spec import evaluation
from dataio.stream.loader import StateError
from dataio.stream.spec import SpecError
from tests.dataio.stream.images.stills import SPEC, make_stills
from tests.tiny import flip


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    return make_stills(tmp_path_factory.mktemp("stills"), 40)


def test_a_batch(stills):
    with ImageLoader(stills, ViewSpec(size=64), batch_size=8, split="train") as loader:
        assert loader.classes == ("ant", "bee", "cat") and len(loader) == 5
        batch = next(iter(loader))
        report = loader.report()
    assert {name: (tuple(value.shape), value.dtype) for name, value in batch.items()} == {
        "view0": ((8, 3, 64, 64), torch.float32),
        "view1": ((8, 3, 64, 64), torch.float32),
        "label": ((8,), torch.int64),
        "clip": ((8,), torch.int64),
    }
    assert not torch.equal(batch["view0"], batch["view1"])
    assert report["decoder"] == "turbo" and {"read", "decode", "views"} <= set(report["stages"])


def seen(shards, world: int, threads: int, **options) -> list[tuple]:
    """What all ranks get in two epochs, one entry a picture."""
    loaders = [
        ImageLoader(shards, SPEC, batch_size=8 // world, rank=rank, world_size=world, threads=threads, epochs=2, **options)
        for rank in range(world)
    ]
    found = []
    for _ in range(2):
        for step in zip(*loaders, strict=True):
            for batch in step:
                sums = (batch["view0"].double().sum((1, 2, 3)).tolist(), batch["view1"].double().sum((1, 2, 3)).tolist())
                found += list(zip(batch["clip"].tolist(), batch["label"].tolist(), *sums, strict=True))
    for loader in loaders:
        loader.close()
    return found


def test_ranks_and_threads_change_nothing(stills):
    alone = seen(stills, 1, 1)
    assert len(alone) == 80 and len({row[0] for row in alone}) == 40
    assert len({row[2] for row in alone}) == 80  # other views in the second epoch
    for world, threads in ((1, 4), (2, 2), (4, 1), (8, 2)):
        assert seen(stills, world, threads) == alone


def test_a_run_of_four_ranks_goes_on_with_two(stills):
    loaders = [ImageLoader(stills, SPEC, batch_size=2, rank=r, world_size=4) for r in range(4)]
    first = [clip for step in zip(*(_take(loader, 2) for loader in loaders), strict=True) for part in step for clip in part]
    state = json.loads(json.dumps(loaders[1].state_dict()))
    for loader in loaders:
        loader.close()
    loaders = [ImageLoader(stills, SPEC, batch_size=3, rank=r, world_size=2, last_batch="partial") for r in range(2)]
    for loader in loaders:
        loader.load_state_dict(state)
    rest = [clip for step in zip(*(_take(loader, 9) for loader in loaders), strict=True) for part in step for clip in part]
    for loader in loaders:
        loader.close()
    assert len(first) == 16 and sorted(first + rest) == list(range(40))
    with ImageLoader(stills, SPEC, batch_size=2, seed=1) as other, pytest.raises(StateError, match="seed"):
        other.load_state_dict(state)


def _take(loader: ImageLoader, steps: int) -> list[list[int]]:
    found = []
    for batch in loader:
        found.append(batch["clip"].tolist())
        if len(found) == steps:
            break
    return found


def test_a_damaged_picture_is_replaced_and_listed(stills, tmp_path):
    import shutil

    shards = shutil.copytree(stills, tmp_path / "set")
    keys = {flip(shards, clip, "jpg") for clip in (4, 17)}
    with ImageLoader(shards, SPEC, batch_size=8, epochs=1, health=Health(tmp_path / "q.jsonl")) as loader:
        clips = [clip for batch in loader for clip in batch["clip"].tolist()]
    assert len(clips) == 40 and set(clips) == set(range(40)) - {4, 17}
    lines = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    assert {line["key"] for line in lines} == keys and {line["extension"] for line in lines} == {"jpg"}


def test_evaluation_takes_the_middle_once_and_always_the_same(stills):
    spec = evaluation(size=32, short=40)
    with ImageLoader(stills, spec, batch_size=40, shuffle=False) as loader:
        (first,), (second,) = list(loader), list(loader)
    assert set(first) == {"view0", "label", "clip"}
    assert torch.equal(first["view0"], second["view0"]) and np.array_equal(first["clip"], np.arange(40))


def test_sets_are_for_their_own_loader(stills, shards):
    with pytest.raises(SpecError, match="this is a set of single pictures: read it with ImageLoader"):
        ClipLoader(stills, ClipSpec(frames=1, size=(32, 32), pairs=()), batch_size=2)
    with pytest.raises(SpecError, match="this is no set of single pictures .*: read it with ClipLoader"):
        ImageLoader(shards, SPEC, batch_size=2)
