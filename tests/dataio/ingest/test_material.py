"""What tells one source, and one build, from every other; and how the first difference is told."""

import copy
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from dataio.ingest import deal, material
from dataio.ingest.build import BuildOptions, Progress, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.material import difference, survey
from dataio.ingest.sources import SourceError
from tests.media import numbered

OPTIONS = BuildOptions(EncodeOptions(still=(16, 32)), layout="images", split="train=0.5,val=0.5", shard_bytes=10_000)


def jpeg(picture: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(picture)


def _tar(path: Path, first: int, count: int = 6) -> None:
    with tarfile.open(path, "w") as file:
        for i in range(count):
            data = jpeg(numbered(first + i, 16, 32))
            info = tarfile.TarInfo(f"{i}.jpg")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))


@pytest.fixture(params=["tars", "folders"])
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two classes of six pictures."""
    raw = tmp_path / "raw"
    for number, name in enumerate(("cat", "dog")):
        if request.param == "tars":
            raw.mkdir(exist_ok=True)
            _tar(raw / f"{name}.tar", 40 * number)
        else:
            (raw / name).mkdir(parents=True)
            for i in range(6):
                (raw / name / f"{i}.jpg").write_bytes(jpeg(numbered(40 * number + i, 16, 32)))
    return raw


def _plan(source: Path, options: BuildOptions = OPTIONS) -> dict[str, Any]:
    return survey(source, options, deal.parse_shares(options.split)).plan


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


def test_every_file_of_pictures_is_known_by_its_time(pictures: Path) -> None:
    before = _plan(pictures)
    files = sorted(path for path in pictures.rglob("*") if path.is_file())
    assert sorted(before["files"]) == [path.relative_to(pictures).as_posix() for path in files]  # a tar once, not once a picture
    _touch(files[-1])
    after = _plan(pictures)
    assert after["times"] != before["times"] and after["options"] == before["options"]
    name = files[-1].relative_to(pictures).as_posix()
    assert difference(before, after) == f"{name} has been changed since"


class _StoppedError(Exception):
    """Stands for whatever may come in between."""


def _stop(progress: Progress) -> None:
    if progress.done:
        raise _StoppedError


def test_pictures_that_are_changed_before_a_build_goes_on_or_while_it_runs_are_no_set(pictures: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "shards", max(path for path in pictures.rglob("*") if path.is_file())
    with pytest.raises(_StoppedError):
        build(pictures, out, OPTIONS, local(1), _stop)
    data = file.read_bytes()
    file.write_bytes(data[:-1] + b"x")
    _touch(file)
    name = file.relative_to(pictures).as_posix()
    with pytest.raises(SourceError, match=rf"holds an unfinished build of another .* \({name} has been changed since\)"):
        build(pictures, out, OPTIONS, local(1))
    with pytest.raises(SourceError, match=f"{name} was changed while it was built from"):
        build(pictures, tmp_path / "other", OPTIONS, local(1), lambda progress: _touch(file))


def test_the_first_difference_is_told(pictures: Path) -> None:
    plan = _plan(pictures)
    json.dumps(plan)
    other = copy.deepcopy(plan)
    other["options"]["encode"]["quality"] = 80
    other["options"]["source"] = "x"
    assert difference(plan, other) == "encode.quality is 80 now, and was 90"
    other = copy.deepcopy(plan)
    other["options"]["encode"]["still"] = None
    assert difference(plan, other) == "encode.still is not given now, and was 16x32"
    other = copy.deepcopy(plan)
    other["versions"]["av"] = "99.1"
    assert difference(plan, other) == f"version of av is 99.1 now, and was {plan['versions']['av']}"
    assert difference(plan, plan | {"versions": {}}).startswith("version of av is not given now, and was ")
    name = min(plan["files"])
    fewer = plan | {"files": {k: v for k, v in plan["files"].items() if k != name}, "times": "x"}
    assert difference(plan, fewer) == f"{name} was there before"
    assert difference(fewer, plan) == f"{name} was not there before"
    assert difference(plan | {"files": {}}, plan) == "its files are others, or have been changed since"


def test_of_very_many_files_only_a_digest_is_kept(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _plan(pictures)
    monkeypatch.setattr(material, "_NAMED", 1)
    assert _plan(pictures) == plan | {"files": {}}


def test_versions_are_those_of_what_encodes_and_not_in_the_manifest(pictures: Path) -> None:
    plan = _plan(pictures)
    assert plan["versions"].keys() >= {"av", "numpy", "simplejpeg", "sonosphere", "torchaudio"}
    assert any(name.startswith("opencv") for name in plan["versions"])
    assert "versions" not in plan["options"]
