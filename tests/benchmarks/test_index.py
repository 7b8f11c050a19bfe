"""The index bench: what is measured and how the shares follow from it, on tiny sets. No figure is judged here."""

import json
from pathlib import Path

import pytest

from benchmarks import index as bench
from dataio.format import index, manifest, tar
from dataio.ingest.executors import local


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("bench")
    found = bench.index(folder, rounds=1, scale=0.002, say=lambda text: None)
    assert not list(folder.iterdir())
    return found


def test_shares_follow_from_the_contenders(result: dict) -> None:
    for figures in result["sets"].values():
        median = {name: contender["median"] for name, contender in figures["contenders"].items()}
        assert figures["of_read"] == pytest.approx(median[bench.READ] / median[bench.INDEX])
        assert figures["walk_of_read"] == pytest.approx(median[bench.READ] / median[bench.WALK])
        assert figures["times_wds2idx"] == pytest.approx(median[bench.WDS2IDX] / median[bench.INDEX])
        assert figures["headers_times_wds2idx"] == pytest.approx(median[bench.WDS2IDX] / median[bench.HEADERS])
        rate = figures["bytes"] / figures["contenders"][bench.READ]["median"] / 1e9
        assert figures["contenders"][bench.READ]["gb_per_s"] == pytest.approx(rate)


def test_it_is_json_and_says_where_it_was_measured(result: dict) -> None:
    again = json.loads(json.dumps(result))
    assert again["machine"]["cores"] and again["rounds"] == 1 and again["threads"] == 1
    assert [figures["members"] for figures in again["sets"].values()] == [40, 40, 200]


def test_contenders_do_the_same_work(tmp_path: Path) -> None:
    """Ours indexes every member that wds2idx does, with facts and checksums; plain reading reads every byte."""
    tars, samples = next(iter(bench._sets(0.005).values()))
    members, size = bench._make(tmp_path, tars, samples)
    paths = sorted(tmp_path.glob("*.tar"))
    bench._wds2idx(paths)
    bench.reindex(tmp_path, local(1))
    found = manifest.load(tmp_path)
    assert found.media.size == (256, 512) and found.media.rate == 96_000 and found.media.pairs == ("front", "back")
    assert int(found.shards["bytes"].sum()) == size == sum(tar.walk(path).size for path in paths)
    entries = [index.load(path.with_suffix(".npz"), path.name) for path in paths]
    assert sum(len(entry.members["clip"]) for entry in entries) == members
    assert all(entry.members["crc"].all() for entry in entries)
    for path in paths:
        assert path.with_suffix(".idx").read_text() == path.with_suffix(".wds2idx").read_text()
