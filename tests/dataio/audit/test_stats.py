"""The level of a set, recomputed: against the json, against the samples, and against sets that lie."""

import json
import math
import shutil
import tarfile
from pathlib import Path

import pytest

from dataio.audit.stats import stats, with_levels
from dataio.audit.verify import verify
from dataio.format import index, manifest
from dataio.format.clip import EARS
from dataio.ingest.executors import local


@pytest.fixture
def copy(shards, tmp_path) -> Path:
    return shutil.copytree(shards, tmp_path / "copy")


def said_by_tarfile(folder: Path) -> dict[str, list[float]]:
    """Every RMS that a json of the set tells, found without our index."""
    values: dict[str, list[float]] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    for ear, value in json.load(tar.extractfile(member))["rms"].items():
                        values.setdefault(ear, []).append(value)
    return values


@pytest.mark.parametrize("origin", ["json", "pcm"])
def test_levels_are_the_mean_of_the_clips(shards, origin):
    report = stats(shards, local(1), origin=origin)
    assert report["agrees"] and report["problems"] == [] and not report["written"]
    assert list(report["ears"]) == list(EARS)
    for ear, values in said_by_tarfile(shards).items():
        assert report["ears"][ear]["mean_rms"] == pytest.approx(math.fsum(values) / len(values), rel=1e-14)
        assert report["ears"][ear]["clips"] == len(values) == 24
        assert abs(report["ears"][ear]["difference"]) < 1e-12
    json.dumps(report, allow_nan=False)


def test_json_gives_fsum_to_the_last_bit(shards):
    report = stats(shards, local(1))
    assert all(report["ears"][ear]["mean_rms"] == math.fsum(v) / len(v) for ear, v in said_by_tarfile(shards).items())


def test_two_workers_and_the_shards_are_told(shards):
    told = []
    report = stats(shards, local(2), origin="pcm", on_shard=lambda done, total: told.append((done, total)))
    assert report == stats(shards, local(1), origin="pcm")
    assert told == [(i + 1, len(told)) for i in range(len(manifest.load(shards)))]


def test_a_wrong_manifest_is_noticed_and_put_right(copy):
    right = manifest.load(copy)
    wrong = with_levels(right, right.mean_rms | {"front.L": right.mean_rms["front.L"] * 1.5})
    assert wrong.fingerprint != right.fingerprint
    (copy / manifest.FILE).write_bytes(wrong.dump())
    report = stats(copy, local(1))
    assert not report["agrees"] and not report["written"]
    assert report["ears"]["front.L"]["difference"] == pytest.approx(-right.mean_rms["front.L"] / 2)
    assert manifest.load(copy).fingerprint == wrong.fingerprint
    report = stats(copy, local(1), write=True)
    assert report["written"] and (report["fingerprint_before"], report["fingerprint"]) == (wrong.fingerprint, right.fingerprint)
    assert (copy / manifest.FILE).read_bytes() == right.dump()
    assert stats(copy, local(1), write=True)["written"] is False
    assert verify(copy, local(1)).problems == []


def test_the_same_levels_make_the_same_manifest(shards):
    found = manifest.load(shards)
    assert with_levels(found, found.mean_rms).dump() == (shards / manifest.FILE).read_bytes()


def test_damage_is_a_problem_and_never_written(copy):
    found = manifest.load(copy)
    entry = index.load(copy / f"{found.name(0)}.npz", "x")
    before = (copy / manifest.FILE).read_bytes()
    for extension in ("json", "front.wav"):
        with open(copy / f"{found.name(0)}.tar", "r+b") as tar:
            tar.seek(int(entry.members["offset"][entry.column(extension)[0]]) + 50)
            tar.write(b"\xff")
    for origin, member in (("json", "json"), ("pcm", "front.wav")):
        report = stats(copy, local(1), origin=origin)
        assert not report["agrees"] and report["unread"] == 1
        assert f"{entry.clips['key'][0].decode()}.{member}: byte" in report["problems"][0]
        with pytest.raises(ValueError, match="nothing was written"):
            stats(copy, local(1), origin=origin, write=True)
    assert (copy / manifest.FILE).read_bytes() == before


def test_a_missing_shard_is_a_problem(copy):
    (copy / f"{manifest.load(copy).name(1)}.tar").unlink()
    report = stats(copy, local(1))
    assert report["unread"] == 1 and "No such file" in report["problems"][0]


def test_levels_found_nowhere_are_not_thrown_away(copy):
    """The manifest has an ear of which no clip tells."""
    found = manifest.load(copy)
    (copy / manifest.FILE).write_bytes(with_levels(found, found.mean_rms | {"top.L": 0.1}).dump())
    assert stats(copy, local(1))["ears"]["top.L"]["mean_rms"] is None
    with pytest.raises(ValueError, match="no clip in .* tells a level of top.L"):
        stats(copy, local(1), write=True)


def test_another_origin_is_refused(shards):
    with pytest.raises(ValueError, match="statistics from 'flac': allowed are json, pcm"):
        stats(shards, local(1), origin="flac")


def test_an_unfinished_build_is_not_written_into(copy):
    (copy / ".build").mkdir()
    with pytest.raises(ValueError, match="holds an unfinished build"):
        stats(copy, local(1), write=True)
    assert stats(copy, local(1))["agrees"]
