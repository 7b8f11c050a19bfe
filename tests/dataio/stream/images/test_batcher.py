"""Batches of views from real sets: right pictures, right classes, the same for any batch, and without those that are broken."""

import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from dataio.format import index, manifest
from dataio.stream.batch import Batch
from dataio.stream.health import Health, TooManyCorruptError
from dataio.stream.images.batcher import ViewBatcher
from dataio.stream.images.decode import decoder
from dataio.stream.images.draws import choose
from dataio.stream.images.reader import StillReader
from dataio.stream.images.spec import ViewSpec, evaluation
from dataio.stream.images.views import Views
from dataio.stream.order.steps import Step
from dataio.stream.spec import SpecError
from dataio.stream.store.local import LocalStore
from dataio.stream.supply import Supply
from tests.dataio.stream.images.stills import SPEC, damaged, make_stills, supplied


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    return make_stills(tmp_path_factory.mktemp("stills"))


def batches(supply: Supply, sizes: list[int], spec: ViewSpec = SPEC, *, workers: int = 2, readers: int = 0) -> list[Batch]:
    batcher = ViewBatcher(supply, spec, seed=3, workers=workers, readers=readers, meter=supply.meter)
    jobs, at = [], 0
    try:
        for size in sizes:
            positions = np.arange(at, at + size)
            jobs.append(batcher.start(Step(0, at, at + size, positions), supply.picks(0, positions)))
            at += size
        return [batcher.finish(job, lambda: None) for job in jobs]
    finally:
        batcher.close()


def joined(parts: list[Batch]) -> Batch:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def sources_of(folder: Path) -> list[dict]:
    """What the json of every clip says, by global id, as plain tarfile finds it."""
    found = manifest.load(folder)
    facts = []
    for shard in range(len(found)):
        with tarfile.open(folder / f"{found.name(shard)}.tar") as tar:
            facts += [json.load(tar.extractfile(member)) for member in tar if member.name.endswith(".json")]
    return facts


def test_every_picture_comes_with_its_class_and_its_views(stills):
    with supplied(stills) as supply:
        whole = joined(batches(supply, [10, 10, 4]))
    facts, classes = sources_of(stills), manifest.load(stills).media.classes
    assert sorted(whole["clip"].tolist()) == list(range(24)) and whole["clip"].tolist() != list(range(24))
    assert classes == ("ant", "bee", "cat")
    for clip, label in zip(whole["clip"].tolist(), whole["label"].tolist(), strict=True):
        assert classes[label] == facts[clip]["class"] == facts[clip]["source"].split("/")[1]
    run, maker = decoder()[1], Views(SPEC)
    for i, clip in enumerate(whole["clip"].tolist()):
        out = np.empty((2, 3, 32, 32), np.float32)
        path = stills.parent / "source" / facts[clip]["source"]
        maker.write(run(np.fromfile(path, np.uint8)), choose(SPEC, 3, 0, np.array([clip])), list(out))
        assert np.array_equal(whole["view0"][i], out[0]) and np.array_equal(whole["view1"][i], out[1])
    assert whole["view0"].dtype == torch.float32 and whole["view0"].shape == (24, 3, 32, 32)


@pytest.mark.parametrize(("sizes", "how"), [([24], {"workers": 1}), ([1] * 24, {"workers": 3}), ([5, 19], {"readers": 2})])
def test_the_same_for_any_batch_and_any_number_of_threads(stills, sizes, how):
    with supplied(stills) as supply:
        expected = joined(batches(supply, [12, 12]))
        found = joined(batches(supply, sizes, **how))
    assert set(found) == {"view0", "view1", "label", "clip"}
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_what_is_evaluated_has_one_view_and_depends_on_no_seed(stills):
    spec = evaluation(32, 36)
    with supplied(stills, spec=spec) as one, supplied(stills, spec=spec, seed=5) as other:
        a, b = (joined(batches(supply, [24], spec)) for supply in (one, other))
    assert set(a) == {"view0", "label", "clip"} and not torch.equal(a["clip"], b["clip"])
    at = [b["clip"].tolist().index(clip) for clip in a["clip"].tolist()]
    assert torch.equal(a["view0"], b["view0"][at]) and torch.equal(a["label"], b["label"][at])


def test_what_is_kept_is_not_written_again_and_the_rest_is_reused(stills):
    with supplied(stills) as supply:
        batcher = ViewBatcher(supply, SPEC, seed=3, workers=2, readers=0, meter=supply.meter)
        picks = supply.picks(0, np.arange(4))

        def batch() -> Batch:
            return batcher.finish(batcher.start(Step(0, 0, 4, np.arange(4)), picks), lambda: None)

        kept = batch()
        copies = {name: value.clone() for name, value in kept.items()}
        for _ in range(6):
            batch()
        assert all(torch.equal(kept[name], copies[name]) for name in kept)
        assert batcher.buffer_bytes <= 3 * 2 * 2**16 * -(-4 * 3 * 32 * 32 * 4 // 2**16)
        batcher.close()


def test_a_rank_without_a_picture_has_an_empty_batch(stills):
    with supplied(stills) as supply:
        (empty,) = batches(supply, [0])
    assert empty["view1"].shape == (0, 3, 32, 32) and empty["label"].shape == empty["clip"].shape == (0,)


def test_several_sets_are_told_apart(stills, tmp_path):
    other = make_stills(tmp_path, 9)
    with supplied(stills, other) as supply:
        whole = joined(batches(supply, [33]))
    assert sorted(whole["clip"].tolist()) == list(range(33))
    assert all((clip >= 24) == source for clip, source in zip(whole["clip"].tolist(), whole["source"].tolist(), strict=True))


# --- what is broken


DAMAGE = {
    "cut": ("jpg", lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2), "."),
    "foreign": ("jpg", lambda data: b"x" * len(data), "it is no JPEG"),
    "json": ("json", lambda data: b"[" * len(data), "names no class"),
    "class": ("json", lambda data: b'{"label":7}'.ljust(len(data)), "no row of the 3"),
    "number": ("json", lambda data: b'{"label":true}'.ljust(len(data)), "no row of the 3"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_broken_picture_is_replaced_and_written_down(stills, tmp_path, kind, capsys):
    extension, change, reason = DAMAGE[kind]
    bad = [2, 3, 17]
    folder = damaged(stills, tmp_path, bad, change, extension)
    health = Health(tmp_path / "quarantine.jsonl", rate=0.5)
    with supplied(folder, health=health) as supply:
        whole = joined(batches(supply, [24]))
        again = joined(batches(supply, [7, 17], readers=2))
        order = [pick.clip for pick in supply.picks(0, np.arange(24))]
        after = [pick.clip for pick in supply.picks(1, np.arange(24))]
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    endless = order + after
    expected = [next(c for c in endless[i:] if c not in bad) for i in range(24)]
    assert whole["clip"].tolist() == expected
    first = {clip: i for i, clip in enumerate(expected[:24]) if order[i] == clip}
    for i, clip in enumerate(expected):  # in place of another it looks as it does in its own place
        if clip in first and clip in order:
            assert torch.equal(whole["view0"][i], whole["view0"][first[clip]])
    lines = [json.loads(line) for line in health.quarantine.read_text().splitlines()]
    assert len(lines) == 3 and {line["extension"] for line in lines} == {extension}
    assert all(re.search(reason, line["reason"]) for line in lines)
    assert "replaced by the next healthy clip" in capsys.readouterr().err


def test_too_many_stop_the_run(stills, tmp_path):
    folder = damaged(stills, tmp_path, list(range(24)), DAMAGE["foreign"][1])
    with supplied(folder, health=Health(None, in_a_row=5)) as supply, pytest.raises(TooManyCorruptError, match="5 clips in a row"):
        batches(supply, [4])


def test_a_flipped_bit_is_found_by_its_checksum(stills, tmp_path):
    folder = tmp_path / "flipped"
    folder.mkdir()
    for path in stills.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    found = manifest.load(folder)
    table = index.load((folder / f"{found.name(0)}.npz").read_bytes(), "x")
    tar = bytearray((folder / f"{found.name(0)}.tar").read_bytes())
    row = int(table.column("jpg")[0])
    tar[int(table.members["offset"][row]) + int(table.members["length"][row]) // 2] ^= 4
    (folder / f"{found.name(0)}.tar").write_bytes(tar)
    with supplied(folder, health=Health(tmp_path / "q.jsonl")) as supply:
        whole = joined(batches(supply, [24]))
    assert 0 not in whole["clip"].tolist()
    assert json.loads((tmp_path / "q.jsonl").read_text())["reason"] == "checksum mismatch"


def test_float16_is_for_gpus(stills):
    spec = ViewSpec(size=32, dtype="float16")
    with supplied(stills, spec=spec) as supply, pytest.raises(SpecError, match="dtype='float16': on the cpu views are float32"):
        batches(supply, [2], spec)


def test_recordings_have_no_views(shards):
    with LocalStore(shards) as store, pytest.raises(SpecError, match="this is no set of single pictures"):
        StillReader(store, SPEC)
