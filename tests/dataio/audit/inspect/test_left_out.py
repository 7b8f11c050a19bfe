"""What build.json says is counted, whatever it says."""

import json

import pytest

from dataio.audit.inspect.left_out import _sentence, left_out, reasons
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from tests.dataio.audit.inspect.pages import CLIPS, FRAME, facts, jpeg, make_set, report
from tests.media import make_sound, make_video, noise, numbered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "NaN",
        "[" * 100_000,
        '{"skipped": 3, "tail_seconds": [], "broken": {}, "silent": 4}',
        '{"tail_seconds": {"a": 1e999}, "silent": {"a": true, "b": "c"}}',
    ],
)
def test_any_build_json(tmp_path, text):
    folder = make_set(tmp_path / "s", [[("r-000000", "r", 0.0, {"json": facts()})]], CLIPS)
    (folder / "build.json").write_text(text)
    page = report(folder)
    assert ("0 recordings were skipped" if text.startswith('{"') else "build.json") in page.text


def test_left_out_is_counted_by_reason(tmp_path):
    skipped = {f"scene{i:02d}": f"scene{i:02d}.mp4 breaks off after {i} s of {9 + i}.25 s" for i in range(12)}
    skipped |= {"b": "b holds no video", "s": "video/a b.MOV: is this a scene?"}
    assert reasons(skipped.items()) == [
        ("… breaks off after # s of # s", 12, "scene00"),
        ("video/a …: is this a scene?", 1, "s"),
        ("… holds no video", 1, "b"),
    ]
    (tmp_path / "build.json").write_text(json.dumps({"skipped": skipped, "tail_seconds": {"x": 0.5, "y": 1.25}, "news": {"a": 4}}))
    found = left_out(tmp_path)
    assert found["skipped"]["count"] == 14 and found["skipped"]["names"][12] == ("b", "b holds no video")
    assert (found["tail_seconds"], found["tails"], found["others"]) == (1.75, [(1.25, "y"), (0.5, "x")], [("news.a", "4")])
    assert left_out(tmp_path / "none") is None


def test_what_the_builder_writes_is_told(tmp_path):
    """A build with a recording that goes quiet, one cut short, and one that is no video."""
    source = tmp_path / "source"
    source.mkdir()
    loud = noise(6.0, rate=16_000)
    quiet = loud.copy()
    quiet[16_000 * 2 :] /= 100
    for name, sound in (("steady", loud[: 16_000 * 5]), ("quiet", quiet)):
        make_video(source / f"{name}.mp4", (numbered(i) for i in range(24)), fps=4)
        make_sound(source / f"{name}.wav", sound, 16_000)
    (source / "none.mp4").write_bytes(b"no video")
    options = BuildOptions(EncodeOptions(size=(32, 64), fps=1.0, rate=16_000, silence=17), split="train=1")
    build(source, tmp_path / "set", options, local(1))
    found = left_out(tmp_path / "set")
    assert found["silent"] == {"count": 2, "recordings": 1, "rows": [(2.0, "quiet")]}
    assert found["skipped"]["count"] == 1 and found["skipped"]["rows"][0][2] == "none"
    assert [name for _, name in found["tails"]] == ["steady"] and not found["resumed"] and not found["others"]
    page = report(tmp_path / "set", clips=0)
    assert "1 recording was skipped 2 clips were too quiet" in page.text and "2 quiet" in page.text


def test_pictures_that_could_not_be_read(tmp_path):
    source = tmp_path / "source"
    for name in ("cat", "dog"):
        (source / name).mkdir(parents=True)
        for i in range(4):
            (source / name / f"{i}.jpg").write_bytes(jpeg(FRAME))
        for i in range(3):
            (source / name / f"my {name} {i}.jpg").write_bytes(b"hello")
    build(source, tmp_path / "set", BuildOptions(split="train=1"), local(1))
    broken = left_out(tmp_path / "set")["broken"]
    ((why, count, such),) = broken["rows"]
    assert (why[:15], count, broken["count"], len(broken["names"])) == ("… is no picture", 6, 6, 6)
    assert such.startswith(("cat/my cat ", "dog/my dog "))
    page = report(tmp_path / "set")
    assert "6 pictures could not be read" in page.text and "my dog 2.jpg is no picture" in page.text


@pytest.mark.parametrize("name", ["a" * 200_000, "a." * 100_000, "." * 200_000, " " * 200_000])
def test_long_sentences_take_no_time(name):
    """Names of others must not send a pattern back and forth."""
    assert len(reasons([(name, name), ("", name), _sentence(name)])[0][0]) <= 300
