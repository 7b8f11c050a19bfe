"""Sets of pictures on disk: what is in them, and that runs can be repeated, killed, resumed and refused."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sonosphere
from dataio import ImageLoader, ViewSpec
from dataio.ingest.shapes import CLASSES, picture, write_pictures
from dataio.ingest.shapes.write import MARK

ROOT = Path(sonosphere.__file__).parent


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shapes") / "set"
    names = write_pictures(out, pictures=300, seed=5, size=48)
    assert names[:2] == ["train/cross-checks/000000.jpg", "train/cross-dots/000001.jpg"]
    assert len(names) == len(set(names)) == 300 and all((out / name).is_file() for name in names)
    return out


def _everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).digest() for p in folder.rglob("*") if p.is_file()}


def test_a_set_is_balanced_and_marked(pictures: Path) -> None:
    assert {path.name for path in pictures.iterdir()} == {"train", "val", "shapes.json"}
    for split, each in (("train", 12), ("val", 3)):
        folders = sorted(path.name for path in (pictures / split).iterdir())
        assert folders == list(CLASSES)
        assert all(len(list((pictures / split / name).iterdir())) == each for name in folders)
    marker = json.loads((pictures / "shapes.json").read_text())
    assert marker == {
        "format": "sonosphere-shapes",
        "version": 1,
        "options": {"pictures": 300, "seed": 5, "size": 48, "held_out": 0.2},
    }


@pytest.mark.parametrize(("split", "number"), [("train", 0), ("train", 239), ("val", 17)])
def test_a_file_holds_its_picture(pictures: Path, split: str, number: int) -> None:
    pixels, class_id = picture(5, split, number, 48)
    with Image.open(pictures / split / CLASSES[class_id] / f"{number:06d}.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (48, 48))
        assert np.abs(np.asarray(image).astype(float) - pixels).mean() < 8.0


def test_a_picture_does_not_depend_on_their_number_or_on_workers(pictures: Path, tmp_path: Path) -> None:
    done: list[str] = []
    names = write_pictures(tmp_path / "out", pictures=240, seed=5, size=48, held_out=0.1, workers=2, on_done=done.append)
    assert sorted(done) == sorted(names)
    here, there = _everything(tmp_path / "out"), _everything(pictures)
    assert len(names) == 240 and sum(name.startswith("val/") for name in names) == 24
    assert all(here[name] == there[name] for name in names)


def test_a_run_that_fails_leaves_no_mark_and_goes_on(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "train").mkdir(parents=True)
    out.joinpath(MARK.plan).write_text((pictures / "shapes.json").read_text())
    (out / "train" / "disc-dots").write_text("in the way")
    with pytest.raises(OSError, match="disc-dots"):
        write_pictures(out, pictures=300, seed=5, size=48)
    assert not (out / "shapes.json").exists()
    (out / "train" / "disc-dots").unlink()
    (out / "train" / "star-plain").mkdir()
    (out / "train" / "star-plain" / ".000014.jpg.partial").write_bytes(b"half")  # as a killed process leaves it
    (out / "train" / "star-plain" / "000034.jpg").write_bytes(b"")  # as a power cut leaves it
    assert not (out / "train" / "star-plain" / "000014.jpg").exists()
    done: list[str] = []
    names = write_pictures(out, pictures=300, seed=5, size=48, on_done=done.append)
    assert sorted(done) == sorted(names)
    assert _everything(out) == _everything(pictures)


def test_a_killed_run_goes_on_to_the_same_bytes(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = f"from dataio.ingest.shapes import write_pictures as w; w({str(out)!r}, pictures=300, seed=5, size=48)"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 300
    while not (out / "train" / CLASSES[7]).is_dir() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # it was in the middle
    assert not (out / "shapes.json").exists()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("0*.jpg")}
    assert 0 < len(before) < 300
    write_pictures(out, pictures=300, seed=5, size=48)
    assert _everything(out) == _everything(pictures)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_complete_set_is_left_alone_and_a_lost_picture_comes_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = write_pictures(out, pictures=30, seed=1, size=32)
    before = _everything(out)
    stamps = {name: (out / name).stat().st_mtime_ns for name in before}
    assert write_pictures(out, pictures=30, seed=1, size=32) == names
    assert {name: (out / name).stat().st_mtime_ns for name in before} == stamps
    (out / names[3]).unlink()
    write_pictures(out, pictures=30, seed=1, size=32)
    assert _everything(out) == before


def test_other_arguments_are_refused_and_nothing_changes(pictures: Path) -> None:
    before = _everything(pictures)
    for change, words in (({"seed": 6}, "seed=5"), ({"size": 64}, "size=48"), ({"held_out": 0.1}, "held_out=0.2")):
        with pytest.raises(ValueError, match=f"holds pictures made with {words}: repeat"):
            write_pictures(pictures, **{"pictures": 300, "seed": 5, "size": 48, **change})
    with pytest.raises(ValueError, match="pictures=300"):
        write_pictures(pictures, pictures=301, seed=5, size=48)
    assert _everything(pictures) == before


def test_a_foreign_folder_or_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match="neither empty nor a set of synthetic pictures"):
        write_pictures(tmp_path, pictures=1, seed=0)
    with pytest.raises(ValueError, match="is a file"):
        write_pictures(tmp_path / "holiday.jpg", pictures=1, seed=0)
    (tmp_path / "shapes.json").write_text('{"format": "sonosphere-shapes", "version": 2, "options": {}}')
    with pytest.raises(ValueError, match=r"no set of synthetic pictures of this version \(sonosphere-shapes 1\)"):
        write_pictures(tmp_path, pictures=1, seed=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["holiday.jpg", "shapes.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pictures": 0}, "pictures=0 .* from 1 to 10000000"),
        ({"seed": -1}, "seed=-1 .* from 0"),
        ({"size": 31}, "size=31 .* from 32 to 2048"),
        ({"size": 64.0}, "size=64.0 .* whole number"),
        ({"held_out": 1.0}, "held_out=1.0 .* less than 1"),
        ({"held_out": float("nan")}, "held_out=nan"),
        ({"workers": True}, "workers=True"),
    ],
)
def test_a_bad_argument_is_named_and_makes_no_folder(change: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        write_pictures(tmp_path / "out", **{"pictures": 1, "seed": 0, **change})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("count", "held_out", "splits"), [(1, 0.9, ["train"]), (3, 0.0, ["train"]), (2, 0.5, ["train", "val"])])
def test_there_is_always_something_to_train_on(count: int, held_out: float, splits: list[str], tmp_path: Path) -> None:
    names = write_pictures(tmp_path / "out", pictures=count, seed=0, size=32, held_out=held_out)
    assert len(names) == count and sorted({name.partition("/")[0] for name in names}) == splits


def test_the_command_and_the_way_to_a_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    options = ["--pictures", "100", "--seed", "2", "--size", "32"]
    monkeypatch.setattr(sys, "argv", ["sonosphere", "shards", "shapes", str(raw), *options])
    with pytest.raises(SystemExit) as end:
        sonosphere.main()
    assert not end.value.code
    said = capsys.readouterr().out
    assert said == f"100 pictures of 32x32 in {raw}; next: sonosphere shards build {raw} SHARDS --layout images\n"
    monkeypatch.setattr(sys, "argv", ["sonosphere", "shards", "build", str(raw), str(out), "--layout", "images"])
    with pytest.raises(SystemExit) as end:
        sonosphere.main()
    assert not end.value.code
    said = capsys.readouterr().out
    assert re.fullmatch(r"100 pictures \(80 train, 20 val\) in 2 shards, 0\.\d MiB; 0 skipped\n", said), said
    view = ViewSpec(size=32, views=1, augment=False, short=32)
    with ImageLoader(out, view, batch_size=20, split="val") as loader:
        assert loader.classes == CLASSES
        (batch,) = loader
    assert sorted(batch["label"].tolist()) == list(range(20))
    pixels = (np.asarray(batch["view0"]) * np.array(view.std)[:, None, None] + np.array(view.mean)[:, None, None]) * 255
    for label, shown in zip(batch["label"].tolist(), pixels, strict=True):
        assert np.abs(shown.transpose(1, 2, 0) - picture(2, "val", label, 32)[0]).mean() < 14.0


def test_the_command_refuses_a_url_and_a_foreign_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("x")
    for place, words in (
        ("s3://bucket/set", "shapes works on local folders"),
        (str(tmp_path), "neither empty nor a set of synthetic"),
    ):
        monkeypatch.setattr(sys, "argv", ["sonosphere", "shards", "shapes", place, "--pictures", "5"])
        with pytest.raises(SystemExit) as end:
            sonosphere.main()
        assert end.value.code == 1
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
