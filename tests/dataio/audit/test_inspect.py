"""The report holds what the set holds, nothing that runs or fetches, and stands whatever the set is made of."""

import base64
import html.parser
import io
import json
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from dataio.audit import figures
from dataio.audit.inspect import SHARDS, Clip, chosen, class_name, inspect, left_out, picture, reasons, sampled_shards, video_frames
from dataio.format import index, manifest
from dataio.format.flow import encode_flow
from dataio.stream import order
from tests.media import make_video, numbered, read_number

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}\x1b[31m\u202e"


class Page(html.parser.HTMLParser):
    """What a browser would see: tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data + " "

    def images(self) -> list[Image.Image]:
        sources = [a.get("src") or a.get("href") or "" for tag, a in self.tags if tag in ("img", "image")]
        return [Image.open(io.BytesIO(base64.b64decode(s.partition(",")[2]))) for s in sources]


def report(folder: Path, **options) -> Page:
    """The page, after checking that it is harmless."""
    text = inspect(folder, **options)
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "object", "embed", "link", "base", "form"})
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes[name][:80])
    assert "url(" not in text and "@import" not in text
    assert any("default-src 'none'" in (a.get("content") or "") for _, a in page.tags)
    assert "\x1b" not in text and "\u202e" not in text
    for image in page.images():
        image.load()
    return page


def jpeg(rgb: np.ndarray) -> bytes:
    return figures.jpeg(rgb, 10_000, 95)


def png(grey: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()


def wav(samples: np.ndarray, rate: int = 48_000, kind: str = "WAV") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype="PCM_16")
    return out.getvalue()


def make_set(
    folder: Path,
    shards: list[list[tuple[str, str, float, dict[str, bytes]]]],
    media: manifest.Media,
    *,
    splits: tuple[str, ...] = ("train",),
) -> Path:
    """A set of anything: shards of (key, recording, start, extension → bytes)."""
    folder.mkdir(parents=True)
    rows = []
    for number, clips in enumerate(shards):
        name = f"shard-{number:04d}"
        placed = []
        with tarfile.open(folder / f"{name}.tar", "w") as tar:
            for key, recording, start, files in clips:
                members = []
                for extension, data in files.items():
                    info = tarfile.TarInfo(f"{key}.{extension}")
                    info.size = len(data)
                    at = tar.offset + len(info.tobuf(tar.format, tar.encoding, "surrogateescape"))
                    tar.addfile(info, io.BytesIO(data))
                    members.append(index.Member(extension, at, len(data), index.crc32c(np.frombuffer(data, np.uint8))))
                placed.append(index.Clip(key, recording, start, tuple(members)))
        size = (folder / f"{name}.tar").stat().st_size
        entry = index.build(name, size, placed)
        (folder / f"{name}.npz").write_bytes(entry.dump())
        crc = index.crc32c(np.frombuffer(entry.dump(), np.uint8))
        split = splits[number % len(splits)]
        rows.append(manifest.Shard(name, len(clips), size, 0, crc, 0, split, entry.recordings, ()))
    (folder / manifest.FILE).write_bytes(manifest.build(rows, media, {}, {}).dump())
    return folder


CLIPS = manifest.Media(2.0, 2, (16, 32), 48_000, ("front",))
FOREIGN = manifest.Media(0.0, 0, (0, 0), 0, (), picture="", sound="")
FRAME = np.random.default_rng(0).integers(0, 255, (16, 32, 3), np.uint8)
SOUND = (np.random.default_rng(1).standard_normal((4800, 2)) * 3000).astype(np.int16)


def facts(**more) -> bytes:
    return json.dumps(
        {"recording": "r", "start": 0.0, "frame_times": [0.0, 1.0], "rms": {"front.L": 0.1, "front.R": 0.0}} | more
    ).encode()


def test_a_built_set(shards):
    page = report(shards, clips=6)
    for said in ("24 clips of 2 s", "6 recordings", "jpeg", "96 kHz", "front, left ear", "left, right ear", "encode.fps"):
        assert said in page.text, said
    for said in (
        "6 clips to see and hear",
        "as recorded",
        "no seam",
        "A batch of 32 holds",
        "No recording was skipped",
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


def test_no_clips_and_too_few(shards):
    assert "to see" not in report(shards, clips=0).text
    with pytest.raises(ValueError, match="clips=-1"):
        inspect(shards, clips=-1)
    with pytest.raises(FileNotFoundError, match="no finished shard set"):
        inspect(shards.parent / "nothing")


def test_choice_prefers_new_recordings_then_new_shards():
    def clip(shard: str, recording: str) -> Clip:
        return Clip(shard, "train", "k", recording, 0.0, {})

    found = chosen([[clip("a", "x"), clip("a", "y")], [clip("b", "x"), clip("b", "z")], []], 5)
    assert [(c.shard, c.recording) for c in found] == [("a", "x"), ("a", "y"), ("b", "z"), ("b", "x")]


def test_flow_mask_and_labels_are_laid_over_the_frame(tmp_path):
    flow = np.zeros((16, 32, 2), np.float32)
    flow[4:8, 4:8] = (5, 0)
    mask = np.zeros((16, 32), np.uint8)
    mask[:8] = 255
    labels = np.zeros((16, 32), np.uint8)
    labels[:, :8] = 7
    files = {"f000.jpg": jpeg(FRAME), "f001.jpg": jpeg(FRAME), "flow.png": encode_flow(flow), "mask.png": png(mask)}
    files |= {"labels.png": png(labels), "front.wav": wav(SOUND), "json": facts()}
    page = report(make_set(tmp_path / "s", [[("r-000000", "r", 0.0, files)]], CLIPS))
    assert "full colour 5.0 pixels; known for 100.0 % of the pixels" in page.text
    assert "Moving foreground: 50.00 % of the picture" in page.text
    assert "0 (75.0 %)" in page.text and "7 (25.0 %)" in page.text
    assert "One recording: there is nothing to mix" in page.text and "1 ears in digital silence" in page.text


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
        "dropped": {EVIL: 3},
        "mono": 7,
        EVIL: [EVIL],
    }
    (folder / "build.json").write_text(json.dumps(build))
    page = report(folder)
    assert page.text.count("<script>alert(1)</script>") > 8 and "{{ 7*7 }}" in page.text
    assert "evil <b>set" in page.text
    assert "2 recordings were skipped" in page.text and "1.50 s were dropped" in page.text


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "NaN", "[" * 100_000, '{"skipped": 3, "tail_seconds": []}', '{"tail_seconds": {"a": 1e999}}']
)
def test_any_build_json(tmp_path, text):
    folder = make_set(tmp_path / "s", [[("r-000000", "r", 0.0, {"json": facts()})]], CLIPS)
    (folder / "build.json").write_text(text)
    page = report(folder)
    assert ("No recording was skipped" if text.startswith('{"') else "build.json") in page.text


def test_left_out_is_counted_by_reason(tmp_path):
    skipped = {f"scene{i:02d}": f"scene{i:02d}.mp4 breaks off after {i} s of {9 + i}.25 s" for i in range(12)} | {
        "b": "b holds no video"
    }
    counted = reasons(skipped)
    assert counted == [("… breaks off after # s of # s", 12, "scene00"), ("… holds no video", 1, "b")]
    (tmp_path / "build.json").write_text(
        json.dumps({"skipped": skipped, "tail_seconds": {"x": 0.5, "y": 1.25}, "dropped": {"silent": 4}})
    )
    found = left_out(tmp_path)
    assert (
        found["skipped"] == 13
        and found["tail_seconds"] == 1.75
        and found["tails"][0] == (1.25, "y")
        and found["dropped"] == [("silent", 4)]
    )
    assert left_out(tmp_path / "none") is None


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


def test_only_sampled_shards_are_touched(tmp_path):
    """Of 200 shards, 64 are needed: with the other indexes and tars gone, the report is the same to the byte."""
    clips = [[(f"r{s:03d}-{i:06d}", f"r{s:03d}", 2.0 * i, {"json": facts()}) for i in range(2)] for s in range(200)]
    folder = make_set(tmp_path / "s", clips, CLIPS, splits=("train",) * 9 + ("val",))
    text = inspect(folder)
    assert "Looked into 64 of 200 shards" in re.sub(r"\s+", " ", text)
    found = manifest.load(folder)
    rows = sampled_shards(found, order.key("inspect", found.fingerprint, 0))
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


def test_image_sets_get_a_contact_sheet(tmp_path):
    classes = ("cat", "dog & <b>co</b>", "ox")
    shards = [
        [
            (
                f"a{s}-{i:06d}",
                f"a{s}",
                0.0,
                {"jpg": jpeg(np.full((20, 30 + i, 3), 40 * (i % 3), np.uint8)), "json": b'{"class": %d}' % (i % 3)},
            )
            for i in range(30)
        ]
        for s in range(3)
    ]
    media = manifest.Media(0.0, 0, (0, 0), 0, (), picture="still", classes=classes)
    page = report(make_set(tmp_path / "s", shards, media))
    assert "90 pictures" in page.text and "3 classes" in page.text and "48 of 90" in page.text
    assert page.text.count("dog & <b>co</b>") > 5 and "3 of 3 classes met in 90 pictures" in page.text
    sheet = page.images()[:48]
    assert all(image.size[0] == image.size[1] for image in sheet)
    assert "How well it is mixed" not in page.text and "clips to see" not in page.text


def test_many_classes(tmp_path):
    classes = tuple(f"class {i}" for i in range(100))
    clips = [(f"a-{i:06d}", "a", 0.0, {"jpg": jpeg(FRAME), "json": b'{"label": %d}' % (i % 70)}) for i in range(140)]
    media = manifest.Media(0.0, 0, (0, 0), 0, (), picture="still", classes=classes)
    assert "70 of 100 classes met" in report(make_set(tmp_path / "s", [clips], media)).text


def test_class_of_a_picture():
    assert class_name({"class": 1}, ("a", "b")) == "b" and class_name({"label": "x"}, ()) == "x"
    assert class_name({"class": 2}, ("a", "b")) == class_name({"class": True}, ("a", "b")) == class_name({}, ("a",)) == ""


def test_tars_of_others(tmp_path):
    """Pictures, sound of any shape, text, and names that are no clips of ours."""
    mono = (np.sin(np.arange(3000) / 10) * 0.5)[:, None]
    files = {
        "png": png(np.arange(64, dtype=np.uint8).reshape(8, 8)),
        "flac": wav(mono, 16_000, "FLAC"),
        "cls": b"281",
        "bin": b"\x00" * 9,
    }
    broken = {"jpg": b"no jpeg", "wav": b"RIFF", "json": b"[1]", "mp4": b"0" * 100}
    page = report(
        make_set(tmp_path / "s", [[("läng lich/x y", "t", 0.0, files)], [("k", "u", 0.0, broken), ("e", "u", 0.0, {})]], FOREIGN)
    )
    assert "läng lich/x y" in page.text and "281" in page.text and "flac, channel 1" in page.text
    for what in ("jpg:", "wav:", "json: is no JSON object", "mp4:"):
        assert what in page.text
    assert "as recorded" not in page.text


def test_huge_members_and_pictures_are_named_not_loaded(tmp_path):
    files = {"f000.jpg": jpeg(FRAME), "wav": b"\0" * (64 * 2**20 + 1), "png": png(np.zeros((8200, 8200), np.uint8))}
    page = report(make_set(tmp_path / "s", [[("k", "t", 0.0, files)]], FOREIGN))
    assert "wav: is too large to be shown: 64.0 MiB" in page.text and "png: is too large to be shown: 8200x8200" in page.text


def frame_numbers(frames) -> list[int]:
    return [read_number(rgb) for _, rgb in frames]


def test_frames_of_an_encoded_container(tmp_path):
    """Sixteen frames at 8 a second: every second one, with the stamps of the json."""
    make_video(tmp_path / "v.mp4", (numbered(i) for i in range(16)), fps=8)
    clip = Clip("s", "train", "k", "r", 10.0, {})
    frames = video_frames((tmp_path / "v.mp4").read_bytes(), clip, [10 + i / 8 for i in range(16)], 16, None)
    assert frame_numbers(frames) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert [stamp for stamp, _ in frames][:3] == ["10.00 s", "10.25 s", "10.50 s"]


def test_frames_of_a_copied_container_begin_at_the_clip(tmp_path):
    """The file begins 0.75 s before the clip, whose first frame is then number 6."""
    make_video(tmp_path / "v.mp4", (numbered(i) for i in range(22)), fps=8, b_frames=2)
    clip = Clip("s", "train", "k", "r", 100.0, {})
    frames = video_frames((tmp_path / "v.mp4").read_bytes(), clip, [], 22, 0.75)
    assert frame_numbers(frames) == [6, 8, 10, 12, 14, 16, 18, 20]
    assert [stamp for stamp, _ in frames][:2] == ["1:40.00", "1:40.25"]


def test_a_container_and_flac_make_a_clip(tmp_path):
    make_video(tmp_path / "v.mp4", (numbered(i) for i in range(4)), fps=2)
    files = {"mp4": (tmp_path / "v.mp4").read_bytes(), "front.flac": wav(SOUND, kind="FLAC"), "json": facts()}
    page = report(make_set(tmp_path / "s", [[("r-000000", "r", 0.0, files)]], CLIPS))
    assert sum(tag == "figure" for tag, _ in page.tags) >= 4 + 4 + 2
    assert "as recorded" in page.text and "front, right ear" in page.text


# the pictures themselves


def test_turning_follows_the_convention():
    """Column x shows column (x + W·ψ/360) mod W; four quarters make a circle."""
    frame = np.arange(8)[None, :, None].repeat(3, 2).astype(np.uint8)
    assert figures.turned(frame, 90)[0, :, 0].tolist() == [2, 3, 4, 5, 6, 7, 0, 1]
    assert (figures.turned(figures.turned(frame, 270), 90) == frame).all()


def test_seam_is_seen():
    x = np.arange(64)
    whole = (127 + 100 * np.sin(2 * np.pi * x / 64))[None, :, None].repeat(4, 0).repeat(3, 2).astype(np.uint8)
    edge, typical = figures.seam(whole)
    assert edge <= 2 * typical + 2
    edge, typical = figures.seam(whole[:, :40])
    assert edge > 2 * typical + 2


@pytest.mark.parametrize("rate", [96_000, 16_000])
def test_spectrum_shows_a_tone_where_and_as_loud_as_it_is(rate):
    """A full-scale sine in the middle of a bin has 0 dB there, and a quarter of the power in either neighbour; a cell holds two."""
    bin_number = 101
    samples = np.sin(2 * np.pi * bin_number / figures.N_FFT * np.arange(2 * rate))
    decibels = figures.spectrum(samples)
    assert decibels.shape[0] == 128 and decibels.shape[1] <= 480
    column = decibels[:, decibels.shape[1] // 2]
    assert 127 - int(column.argmax()) == (bin_number - 1) // 2
    assert column.max() == pytest.approx(10 * np.log10((1 + 0.25) / 2), abs=0.05) and column[0] < -60


def test_spectrum_and_envelope_of_very_short_sound():
    for n in (1, 5, 600):
        assert np.isfinite(figures.spectrum(np.ones(n, np.float32))).all()
        assert figures.envelope(np.ones(n, np.float32), 1.0).startswith("M")
    assert re.fullmatch(r"[MLZ0-9.,\-]+", figures.envelope(np.zeros(1000, np.float32), 0.0))


def test_colour_wheel_tells_directions_apart():
    right, left = (figures.wheel_colours(np.array([u]), np.array([0.0]), 1.0)[0] for u in (1.0, -1.0))
    assert right[0] > 0.9 and right[2] < 0.1 and left[0] < 0.1
    assert (figures.wheel_colours(np.zeros(1), np.zeros(1), 1.0) == 1).all()


def test_invalid_flow_leaves_the_frame():
    flow = np.full((4, 8, 2), 9.0, np.float32)
    valid = np.zeros((4, 8), bool)
    over, fastest = figures.flow_overlay(np.full((4, 8, 3), 200, np.uint8), flow, valid)
    assert fastest == 1.0 and (over == 150).all()


def test_palette_labels_keep_their_numbers():
    image = Image.fromarray(np.array([[3, 200]], np.uint8))
    image.putpalette([255, 0, 0] * 256)
    out = io.BytesIO()
    image.save(out, "PNG")
    assert picture(out.getvalue(), "L").tolist() == [[3, 200]]
