"""The demo in small, from scenes to a report: what it writes, and that it can be run again."""

import base64
import json
import re
from io import BytesIO

import pytest
from PIL import Image

from benchmarks.demo import Demo, run

SMALL = ("optim.epochs=1", "optim.warmup_steps=1", "data.batch_size=4")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    said: list[str] = []
    wanted = Demo(out, recordings=5, held_out=2, seconds=8.0, workers=1, control=True, overrides=SMALL)
    return wanted, run(wanted, said.append), said


def test_report_json(demo):
    wanted, report, _ = demo
    assert report == json.loads((wanted.out / "report.json").read_text())
    for name in ("accuracy", "accuracy_without_sound", "accuracy_without_video", "accuracy_video_only"):
        assert 0 <= report[name] <= 1
    assert report["clips_per_second"] > 0 and report["loader_clips_per_second"] > 0
    assert {"read", "decode", "rotate", "spectrogram", "wait"} <= set(report["stages"])
    assert report["clips"] == 20 and report["splits"] == {"train": 12, "val": 8} and report["steps"] == 3
    assert report["evaluated"] == 8 * 4 == sum(map(sum, report["confusion"]))
    assert isinstance(report["verdict"], str) and report["machine"]["cores"] >= 1


def test_report_html_stands_alone(demo):
    html = (demo[0].out / "report.html").read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(pictures) == 4 == html.count("<img")
    for data in pictures:
        assert min(Image.open(BytesIO(base64.b64decode(data))).size) > 80
    assert "http" not in html.replace("http-equiv", "")
    assert (demo[0].out / "batch.png").is_file()


def test_again_uses_the_shards_and_trains_anew(demo):
    from dataclasses import replace

    wanted, first, _ = demo
    said: list[str] = []
    second = run(replace(wanted, control=False), said.append)
    assert any("again" in line for line in said) and "synthesise" not in second["seconds"]
    assert second["fingerprint"] == first["fingerprint"] and second["accuracy"] == first["accuracy"]
    assert second["accuracy_video_only"] is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"pairs": "both"}, "pairs='both' must be all or front"), ({"held_out": 4, "recordings": 5}, "held_out=4")],
)
def test_wrong_options(fields, message):
    with pytest.raises(ValueError, match=message):
        Demo(**fields)
