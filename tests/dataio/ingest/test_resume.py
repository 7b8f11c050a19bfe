"""A build that is stopped, in whatever way, goes on where it was and ends in the same bytes; folders of others are left alone."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dataio.format import manifest
from dataio.ingest import material
from dataio.ingest.build import BuildOptions, Progress, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.sources import SourceError
from tests.clips import contents

OPTIONS = BuildOptions(EncodeOptions(size=(32, 64), rate=48_000), split="train=0.6,val=0.4", shard_bytes=2_500_000)


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a build that nothing stops."""
    out = tmp_path_factory.mktemp("expected") / "shards"
    assert build(source, out, OPTIONS, local(1))["resumed"] is False
    return contents(out)


class _StoppedError(Exception):
    """Stands for whatever may come in between."""


def _stop_after(count: int) -> Any:
    def on_progress(progress: Progress) -> None:
        if progress.done == count:
            raise _StoppedError

    return on_progress


@pytest.mark.parametrize("after", range(1, 6))
def test_stopped_after_any_recording_it_ends_in_the_same_bytes(source: Path, tmp_path: Path, expected, after: int) -> None:
    out = tmp_path / "shards"
    with pytest.raises(_StoppedError):
        build(source, out, OPTIONS, local(1), _stop_after(after))
    with pytest.raises(FileNotFoundError, match="no finished shard set"):
        manifest.load(out)
    told: list[Progress] = []
    report = build(source, out, OPTIONS, local(1), told.append)
    assert report["resumed"] is True
    assert contents(out) == expected
    assert len(told) == 5 - after  # nothing that was encoded is encoded again


def test_stopped_again_and_again(source: Path, tmp_path: Path, expected) -> None:
    for after in (1, 2, 4, 5):
        with pytest.raises(_StoppedError):
            build(source, tmp_path / "shards", OPTIONS, local(1), _stop_after(after))
    build(source, tmp_path / "shards", OPTIONS, local(1))
    assert contents(tmp_path / "shards") == expected


RUN = """
import os, resource, signal, sys
from pathlib import Path
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
options = BuildOptions(EncodeOptions(size=(32, 64), rate=48_000), split="train=0.6,val=0.4", shard_bytes=2_500_000)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def stop(progress):
    if progress.done == 4:
        {act}
build(Path({source!r}), Path({out!r}), options, local(1), {told})
"""


def _run(source: Path, out: Path, act: str) -> subprocess.CompletedProcess[str]:
    """The same build in a process of its own, where `act` happens after the fourth recording."""
    code = RUN.format(act=act, source=str(source), out=str(out), told="stop")
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


LIMIT = f"resource.setrlimit(resource.RLIMIT_FSIZE, (1_300_000, {resource.RLIM_INFINITY}))"  # spools are smaller, shards larger


def test_killed_between_recordings_it_ends_in_the_same_bytes(source: Path, tmp_path: Path, expected) -> None:
    out = tmp_path / "shards"
    assert _run(source, out, "os.kill(os.getpid(), signal.SIGKILL)").returncode == -signal.SIGKILL
    assert list((out / ".build").glob("*.spool"))
    build(source, out, OPTIONS, local(1))
    assert contents(out) == expected


def test_killed_in_the_middle_of_a_shard_it_leaves_nothing_behind(source: Path, tmp_path: Path, expected) -> None:
    out = tmp_path / "shards"
    done = _run(source, out, f"signal.signal(signal.SIGXFSZ, signal.SIG_DFL); {LIMIT}")  # the system kills it within a write
    assert done.returncode == -signal.SIGXFSZ
    assert list(out.glob(".clips-*.tmp"))
    assert build(source, out, OPTIONS, local(1))["resumed"] is True
    assert contents(out) == expected


def test_a_full_disk_is_an_error_and_the_same_command_goes_on(source: Path, tmp_path: Path, expected) -> None:
    out = tmp_path / "shards"
    done = _run(source, out, LIMIT)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert not list(out.glob(".*.tmp"))
    assert build(source, out, OPTIONS, local(1))["resumed"] is True
    assert contents(out) == expected


def test_a_finished_set_is_left_alone(source: Path, tmp_path: Path, expected) -> None:
    first = build(source, tmp_path / "shards", OPTIONS, local(1))
    again = build(source, tmp_path / "shards", OPTIONS, local(1), _stop_after(1))  # which would stop it, if it did anything
    assert again == json.loads(json.dumps(first)) | {"already": True, "touched": False}
    for other, options in _other_plans(source):
        with pytest.raises(SourceError, match="already holds a finished shard set, of another source or other options"):
            build(other, tmp_path / "shards", options, local(1))
    assert contents(tmp_path / "shards") == expected


def _other_plans(source: Path) -> list[tuple[Path, BuildOptions]]:
    return [
        (
            source,
            BuildOptions(
                EncodeOptions(size=(32, 64), rate=48_000, quality=80), split=OPTIONS.split, shard_bytes=OPTIONS.shard_bytes
            ),
        ),
        (source, BuildOptions(OPTIONS.encode, split="train=0.5,val=0.5", shard_bytes=OPTIONS.shard_bytes)),
        (source, BuildOptions(OPTIONS.encode, split=OPTIONS.split, shard_bytes=OPTIONS.shard_bytes, allow_mono=True)),
        (source / "far", OPTIONS),
    ]


def test_an_unfinished_build_of_another_plan_is_left_alone(source: Path, tmp_path: Path, expected) -> None:
    out = tmp_path / "shards"
    with pytest.raises(_StoppedError):
        build(source, out, OPTIONS, local(1), _stop_after(4))
    before = contents(out)
    for other, options in _other_plans(source):
        with pytest.raises(SourceError, match="holds an unfinished build of another source or other options"):
            build(other, out, options, local(1))
        assert contents(out) == before
    build(source, out, OPTIONS, local(1))
    assert contents(out) == expected


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "folder"])
def test_a_folder_that_holds_something_else_is_left_alone(source: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).mkdir() if name == "folder" else (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(SourceError, match="is neither empty nor an unfinished build; choose another folder"):
        build(source, tmp_path / "out", OPTIONS, local(1))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_a_file_is_no_output_folder(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SourceError, match="is a file"):
        build(source, tmp_path / "out", OPTIONS, local(1))
    assert (tmp_path / "out").read_text() == "mine"


def test_an_empty_folder_will_do(source: Path, tmp_path: Path, expected) -> None:
    (tmp_path / "out").mkdir()
    build(source, tmp_path / "out", OPTIONS, local(1))
    assert contents(tmp_path / "out") == expected


def test_a_second_build_in_the_same_folder_is_refused_and_harms_nothing(source: Path, tmp_path: Path, expected) -> None:
    out, refused = tmp_path / "shards", []

    def meanwhile(progress: Progress) -> None:
        with pytest.raises(SourceError, match="another build is running in"):
            build(source, out, OPTIONS, local(1))
        refused.append(progress.name)

    build(source, out, OPTIONS, local(1), meanwhile)
    assert len(set(refused) - {None}) == 5
    assert contents(out) == expected


@pytest.mark.parametrize("exists", [False, True])
def test_where_nothing_can_be_built_nothing_is_left(tmp_path: Path, source: Path, exists: bool) -> None:
    raw, out = tmp_path / "raw", tmp_path / "deep" / "shards"
    raw.mkdir()
    (raw / "a.mp4").write_text("no video")
    (raw / "a.wav").write_bytes((source / "one.wav").read_bytes())
    if exists:
        out.mkdir(parents=True)
    with pytest.raises(SourceError, match=r"nothing in .* could be built: a\.mp4 cannot be read as video"):
        build(raw, out, OPTIONS, local(1))
    assert out.exists() == exists
    assert not exists or list(out.iterdir()) == []


def _stopped_after_a_group(source: Path, out: Path) -> list[dict[str, Any]]:
    """A build that is stopped when a group is finished: rows of its shards."""
    with pytest.raises(_StoppedError):
        build(source, out, OPTIONS, local(1), _stop_after(5))
    (group,) = out.glob(".build/group-*.json")
    return json.loads(group.read_text())["shards"]


@pytest.mark.parametrize("suffix", ["tar", "idx", "npz"])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_finished_group_whose_shards_are_not_there_is_made_again(
    source: Path, tmp_path: Path, expected, suffix: str, how: str
) -> None:
    out = tmp_path / "shards"
    path = out / f"{_stopped_after_a_group(source, out)[0]['name']}.{suffix}"
    if how == "gone":
        path.unlink()
    elif suffix == "tar":
        path.write_bytes(path.read_bytes()[:-512])
    build(source, out, OPTIONS, local(1))
    assert contents(out) == expected


def test_a_row_that_a_power_cut_has_emptied_counts_as_none(source: Path, tmp_path: Path, expected) -> None:
    out = tmp_path / "shards"
    _stopped_after_a_group(source, out)
    next(out.glob(".build/group-*.json")).write_bytes(b"")
    build(source, out, OPTIONS, local(1))
    assert contents(out) == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_one_run_heals_whatever_a_power_cut_has_done_to_the_spools(source: Path, tmp_path: Path, expected, workers: int) -> None:
    out = tmp_path / "shards"
    _stopped_after_a_group(source, out)
    next(out.glob(".build/group-*.json")).unlink()
    with pytest.raises(_StoppedError):
        build(source, out, OPTIONS, local(1), _stop_after(5))
    work = out / ".build"
    slugs = sorted(path.stem for path in work.glob("*.unit"))
    assert len(slugs) > 1
    (work / f"{slugs[0]}.npz").write_bytes(b"")
    for slug in slugs[1:]:  # only the checksums can tell
        data = bytearray((work / f"{slug}.spool").read_bytes())
        data[700:800] = bytes(100)
        (work / f"{slug}.spool").write_bytes(data)
    told: list[Progress] = []
    build(source, out, OPTIONS, local(workers), told.append)
    assert contents(out) == expected
    assert max(p.done for p in told) == 5 and {p.total for p in told} == {5}


@pytest.mark.parametrize("left", [None, b"", b"{", b"[]", b'{"skipped": 3, "broken": {}, "clips": "x"}'])
def test_a_finished_set_without_its_report_is_told_from_the_manifest(
    source: Path, tmp_path: Path, expected, left: bytes | None
) -> None:
    first = build(source, tmp_path / "shards", OPTIONS, local(1))
    (tmp_path / "shards" / "build.json").unlink()
    if left is not None:
        (tmp_path / "shards" / "build.json").write_bytes(left)
    again = build(source, tmp_path / "shards", OPTIONS, local(1))
    known = first | {"tail_seconds": {}, "already": True, "touched": False}
    del known["times"]
    assert again == json.loads(json.dumps(known))


def test_a_finished_set_whose_source_was_touched_since_says_so(source: Path, tmp_path: Path) -> None:
    raw = shutil.copytree(source, tmp_path / "raw")
    assert "touched" not in build(raw, tmp_path / "shards", OPTIONS, local(1))
    assert build(raw, tmp_path / "shards", OPTIONS, local(1))["touched"] is False
    (raw / "one.wav").touch()
    again = build(raw, tmp_path / "shards", OPTIONS, local(1))
    assert again["already"] is True and again["touched"] is True


def test_the_first_difference_of_an_unfinished_build_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out = shutil.copytree(source, tmp_path / "raw"), tmp_path / "shards"
    with pytest.raises(_StoppedError):
        build(raw, out, OPTIONS, local(1), _stop_after(1))
    with pytest.raises(SourceError, match=r"\(encode\.quality is 80 now, and was 90\); choose another folder"):
        build(raw, out, _other_plans(raw)[0][1], local(1))
    with monkeypatch.context() as patch:
        patch.setattr(material, "versions", lambda: {"av": "99"})
        with pytest.raises(SourceError, match=r"\(version of av is 99 now, and was \d"):
            build(raw, out, OPTIONS, local(1))
    (raw / "one.wav").touch()
    with pytest.raises(SourceError, match=r"\(one\.wav has been changed since\)"):
        build(raw, out, OPTIONS, local(1))
    (out / ".build" / "plan.json").write_text("{")
    with pytest.raises(SourceError, match=r"\(its plan\.json is damaged\)"):
        build(raw, out, OPTIONS, local(1))
