"""A bounded part of a set is read, and which one does not depend on the rest."""

import re

from dataio.audit.inspect import inspect
from dataio.audit.inspect.members import Clip
from dataio.audit.inspect.sample import SHARDS, chosen, sampled_shards
from dataio.format import manifest
from dataio.stream.order import random
from tests.dataio.audit.inspect.pages import CLIPS, facts, make_set


def test_choice_prefers_new_recordings_then_new_shards():
    def clip(shard: str, recording: str) -> Clip:
        return Clip(shard, "train", "k", recording, 0.0, {})

    found = chosen([[clip("a", "x"), clip("a", "y")], [clip("b", "x"), clip("b", "z")], []], 5)
    assert [(c.shard, c.recording) for c in found] == [("a", "x"), ("a", "y"), ("b", "z"), ("b", "x")]


def test_only_sampled_shards_are_touched(tmp_path):
    """Of 200 shards, 64 are needed: with the other indexes and tars gone, the report is the same to the byte."""
    clips = [[(f"r{s:03d}-{i:06d}", f"r{s:03d}", 2.0 * i, {"json": facts()}) for i in range(2)] for s in range(200)]
    folder = make_set(tmp_path / "s", clips, CLIPS, splits=("train",) * 9 + ("val",))
    text = inspect(folder)
    assert "Looked into 64 of 200 shards" in re.sub(r"\s+", " ", text)
    found = manifest.load(folder)
    rows = sampled_shards(found, random.key("inspect", found.fingerprint, 0))
    assert len(set(rows)) == SHARDS
    share = sum(found.shards["split"][row] == found.splits.index("val") for row in rows)
    assert 4 <= share <= 12
    for row in set(range(200)) - set(rows):
        (folder / f"{found.name(row)}.npz").unlink()
        (folder / f"{found.name(row)}.tar").unlink()
    assert inspect(folder) == text


def test_every_split_gets_a_window_of_shards(tmp_path):
    clips = [[(f"r{s:03d}-000000", f"r{s:03d}", 0.0, {"json": facts()})] for s in range(150)]
    found = manifest.load(make_set(tmp_path / "s", clips, CLIPS, splits=("train",) * 37 + ("val",)))
    rows = sampled_shards(found, 1)
    assert sum(found.shards["split"][row] == found.splits.index("val") for row in rows) >= 3
    assert sampled_shards(found, 1) == rows != sampled_shards(found, 2)
