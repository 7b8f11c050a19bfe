"""The report holds what the set holds, nothing that runs or fetches, and stands whatever the set is made of."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from dataio.audit.inspect import inspect
from dataio.format import manifest
from tests.dataio.audit.inspect.pages import FRAME, facts, jpeg, make_set, report

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}\x1b[31m\u202e"


def test_a_built_set(shards):
    page = report(shards, clips=6)
    for said in ("24 clips of 2 s", "6 recordings", "jpeg", "96 kHz", "front, left ear", "left, right ear", "encode.fps"):
        assert said in page.text, said
    for said in (
        "6 clips to see and hear",
        "as recorded",
        "no seam",
        "A batch of 32 holds",
        "0 recordings were skipped",
        "0.00 s dropped at the ends",
        "Where the bytes are",
    ):
        assert said in page.text, said
    assert manifest.load(shards).fingerprint in page.text
    assert "could not be read" not in page.text
    assert sum(tag == "audio" for tag, _ in page.tags) == 6
    assert sum(tag == "svg" for tag, _ in page.tags) == 6 * 8
    assert len(set(re.findall(r"(scene-\d{4})-\d{6}", page.text))) == 6


def test_the_same_bytes_again_and_other_clips_for_another_seed(shards):
    once = inspect(shards, clips=1)
    assert once == inspect(shards, clips=1)
    assert once != inspect(shards, clips=1, seed=1)
    assert str(shards) not in once and len(once) < 2e6


def test_nothing_heavy_is_imported_before_a_report_is_made():
    code = "import sys; from dataio.audit.inspect import inspect; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "dataio.audit.inspect" in loaded
    assert not {"matplotlib", "PIL", "jinja2", "numpy", "av", "torch", "cv2"} & set(loaded)


def test_no_clips_and_too_few(shards):
    assert "to see" not in report(shards, clips=0).text
    with pytest.raises(ValueError, match="clips=-1"):
        inspect(shards, clips=-1)
    with pytest.raises(FileNotFoundError, match="no finished shard set"):
        inspect(shards.parent / "nothing")


def test_hostile_texts_stay_texts(tmp_path):
    known = facts(
        recording=EVIL, frame_times=[1e400, "x", None], offset=10**400, deep={EVIL: {EVIL: EVIL}}, half="\ud800", long="x" * 10_000
    )
    files = {"f000.jpg": jpeg(FRAME), "json": known, "txt": EVIL.encode(), EVIL[:60]: b"1", "$\\frac{": b"2"}
    media = manifest.Media(2.0, 1, (16, 32), 48_000, (), picture=EVIL, sound=EVIL, classes=(EVIL,))
    folder = make_set(tmp_path / "evil <b>set", [[(f"{EVIL[:40]}-000000", EVIL, 0.0, files)]], media, splits=(EVIL,))
    build = {
        "skipped": {EVIL: EVIL, "b": {"c": 1}},
        "tail_seconds": {EVIL: 1.5, "x": "y"},
        "silent": {EVIL: 3, "z": [EVIL]},
        "broken": [EVIL, 3, {EVIL: EVIL}],
        "mono": 7,
        EVIL: [EVIL],
    }
    (folder / "build.json").write_text(json.dumps(build))
    page = report(folder)
    assert page.text.count("<script>alert(1)</script>") > 8 and "{{ 7*7 }}" in page.text
    assert "evil <b>set" in page.text
    assert "2 recordings were skipped" in page.text and "1.50 s dropped at the ends" in page.text
    assert "3 clips were too quiet" in page.text and "3 pictures could not be read" in page.text


def test_a_broken_disk_is_named_and_the_rest_shown(shards, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "copy")
    found = manifest.load(copy)
    (copy / f"{found.name(0)}.npz").write_bytes(b"gone")
    (copy / f"{found.name(1)}.tar").unlink()
    with open(copy / f"{found.name(2)}.tar", "r+b") as tar:
        for at in range(1000, found.shards["bytes"][2], 20_000):
            tar.seek(at)
            tar.write(b"\xff")
    page = report(copy, clips=6)
    assert f"{found.name(0)}.npz does not match its checksum" in page.text
    assert f"{found.name(1)}.tar cannot be read: No such file" in page.text
    assert "does not match its checksum" in page.text and "A batch of 32 holds" in page.text
    assert str(tmp_path) not in page.text


def test_nothing_readable_at_all(shards, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "copy")
    for path in copy.iterdir():
        if path.suffix in (".tar", ".npz") and path.name != manifest.FILE:
            path.unlink()
    assert "24 clips" in report(copy).text
