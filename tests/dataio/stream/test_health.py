"""Budgets, and a quarantine file that several processes share."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dataio.stream.errors import CorruptClipError
from dataio.stream.health import Health, TooManyCorruptError, Ward


def error(key: str = "a-000001", extension: str = "f000.jpg") -> CorruptClipError:
    return CorruptClipError("clips-000000", key, extension, 512, "checksum mismatch")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_clip_is_written_once_however_often_it_comes_up(tmp_path, capsys):
    ward = Ward(Health(tmp_path / "deep" / "q.jsonl"))
    for _ in range(3):
        ward.ill(error(), 0, 1)
    ward.ill(error("b-000002"), 0, 2)
    ward.well()
    assert lines(tmp_path / "deep" / "q.jsonl") == [
        {"shard": "clips-000000", "offset": 512, "key": key, "extension": "f000.jpg", "reason": "checksum mismatch"}
        for key in ("a-000001", "b-000002")
    ]
    assert ward.report() == {"tried": 5, "corrupt": 4, "clips": 2, "quarantine": str(tmp_path / "deep" / "q.jsonl"), "notes": []}
    assert "replaced by the next healthy clip, see" in capsys.readouterr().err
    Ward(Health(tmp_path / "deep" / "q.jsonl")).ill(error(), 0, 1)  # another run finds it there
    assert len(lines(tmp_path / "deep" / "q.jsonl")) == 2


def test_no_file_where_nothing_is_corrupt(tmp_path):
    ward = Ward(Health(tmp_path / "q.jsonl"))
    ward.well()
    assert not (tmp_path / "q.jsonl").exists() and ward.report()["quarantine"] is None


def test_the_rate_is_judged_after_some_clips_and_names_the_file(tmp_path):
    ward = Ward(Health(tmp_path / "q.jsonl", rate=0.25, after=8))
    for i in range(3):  # 3 of 7: not judged yet
        ward.ill(error(f"a-{i:06d}"), 0, 1)
    for _ in range(9):
        ward.well()
    with pytest.raises(TooManyCorruptError, match=r"4 of 13 clips are corrupt, more than the 25% allowed.*q\.jsonl lists them"):
        ward.ill(error("a-000003"), 0, 1)


def test_exactly_the_rate_is_allowed():
    ward = Ward(Health(None, rate=0.5, after=2))
    ward.well()
    ward.ill(error(), 0, 1)
    with pytest.raises(TooManyCorruptError, match="2 of 3"):
        ward.ill(error(), 0, 1)


def test_too_many_in_a_row(tmp_path):
    ward = Ward(Health(tmp_path / "q.jsonl", rate=1.0, in_a_row=4))
    ward.ill(error(), 0, 3)
    with pytest.raises(
        TooManyCorruptError, match=r"4 clips in a row are corrupt, the last one clips-000000, byte 512, a-000001\.f000\.jpg"
    ):
        ward.ill(error(), 0, 4)


def test_a_file_that_cannot_be_written_is_said_once_and_stops_nothing(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    ward = Ward(Health(tmp_path / "file" / "q.jsonl"))
    ward.ill(error(), 0, 1)
    ward.ill(error("b-000001"), 0, 1)
    assert capsys.readouterr().err.count("cannot be written") == 1
    assert ward.report()["clips"] == 2


@pytest.mark.parametrize("wrong", [{"rate": 1.5}, {"rate": -0.1}, {"after": -1}, {"in_a_row": 0}])
def test_values_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Health(**wrong)


def test_processes_that_write_at_once_lose_and_repeat_nothing(tmp_path):
    """And one that was killed half way through a line hurts no other."""
    (tmp_path / "q.jsonl").write_text('{"shard": "cli')
    code = (
        "import sys; from pathlib import Path; from dataio.stream.health import *; from dataio.stream.errors import *\n"
        "w = Ward(Health(Path(sys.argv[1])))\n"
        "for i in range(60): w.ill(CorruptClipError('s', f'k-{i:06d}', 'f000.jpg', 0, 'x'), 0, 1)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "q.jsonl"], stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    first, *rest = (tmp_path / "q.jsonl").read_text().splitlines()
    assert first == '{"shard": "cli'
    assert sorted(json.loads(line)["key"] for line in rest) == [f"k-{i:06d}" for i in range(60)]
