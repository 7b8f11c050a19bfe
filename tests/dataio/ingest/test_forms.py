"""Every form that a set can be built in: what the clips hold, and what the manifest says of them."""

import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from dataio.format import index, manifest
from dataio.format.flow import decode_flow
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings
from dataio.ingest.sources import SourceError
from tests.clips import members_in
from tests.media import make_sound, make_video, noise, numbered, read_number

SIZE = (32, 64)
CONTAINERS = {"h264": "mp4", "hevc": "mp4", "vp9": "webm", "av1": "mp4", "copy": "mp4"}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording of 4.2 s whose frames carry their numbers, with a front pair."""
    folder = tmp_path_factory.mktemp("raw")
    make_video(folder / "walk.mp4", (numbered(k, 64, 128) for k in range(42)), fps=10, gop=5)
    make_sound(folder / "walk.wav", noise(4.2, 48_000), 48_000)
    return folder


def _build(raw: Path, out: Path, **options: object) -> dict[str, dict[str, bytes]]:
    encode = EncodeOptions(**{"size": SIZE, "rate": 48_000} | options)
    build(raw, out, BuildOptions(encode, split="train=1"), local(1))
    return members_in(out)


@pytest.mark.parametrize("codec", CONTAINERS)
def test_frames_in_a_container_are_those_of_the_recording(raw: Path, tmp_path: Path, codec: str) -> None:
    clips = _build(raw, tmp_path / "out", frames=codec)
    assert sorted(clips) == ["walk-000000", "walk-000001"]
    for i, clip in enumerate(clips[key] for key in sorted(clips)):
        assert sorted(clip) == sorted(["front.wav", "json", CONTAINERS[codec]])
        facts = json.loads(clip["json"])
        with av.open(io.BytesIO(clip[CONTAINERS[codec]])) as container:
            frames = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
        if codec == "copy":
            start = facts["offset"]
            shown = [read_number(picture) for time, picture in frames if start - 1e-6 <= time < start + 2 - 1e-6]
            assert shown == list(range(20 * i, 20 * i + 20))
            assert facts["frame_times"] == pytest.approx([2 * i + k / 10 for k in range(20)])
        else:
            assert [read_number(picture) for _, picture in frames] == [20 * i + int(2.5 * k) for k in range(8)]
            assert frames[0][1].shape == (*SIZE, 3)
        assert facts["picture"] == codec
    media = manifest.load(tmp_path / "out").media
    size, count = ((0, 0), 0) if codec == "copy" else (SIZE, 8)
    assert media == manifest.Media(2.0, count, size, 48_000, ("front",), picture=codec)
    entry = index.load(tmp_path / "out" / "clips-000000.npz", "x")
    row = entry.column(CONTAINERS[codec])[0]
    assert (entry.members["height"][row], entry.members["width"][row]) == ((64, 128) if codec == "copy" else SIZE)


def test_flac_holds_the_same_samples(raw: Path, tmp_path: Path) -> None:
    pcm = _build(raw, tmp_path / "pcm")
    flac = _build(raw, tmp_path / "flac", sound="flac")
    for key, clip in flac.items():
        there, rate = soundfile.read(io.BytesIO(clip["front.flac"]), dtype="int16")
        assert (rate, there.tobytes()) == (48_000, pcm[key]["front.wav"][44:])
    found = manifest.load(tmp_path / "flac")
    assert found.media.sound == "flac"
    assert found.mean_rms == manifest.load(tmp_path / "pcm").mean_rms
    assert len(found.select("train", ("front",))) == 1


def test_flow_mask_and_labels_lie_beside_the_frames(tmp_path: Path) -> None:
    write_recordings(tmp_path / "raw", recordings=2, seconds=4, seed=3, size=(64, 128))
    clips = _build(tmp_path / "raw", tmp_path / "out", size=(64, 128), flow=True, mask=True)
    assert len(clips) == 4
    for clip in clips.values():
        flow, valid = decode_flow(clip["flow.png"])
        assert (flow.shape, valid.shape) == ((64, 128, 2), (64, 128))
        mask = np.asarray(Image.open(io.BytesIO(clip["mask.png"])))
        assert mask.shape == (64, 128) and set(np.unique(mask)) <= {0, 255}
        assert json.loads(clip["json"])["flow_frames"] == [4, 5]
    assert manifest.load(tmp_path / "out").media.extras == ("flow", "mask", "labels")


def test_silent_clips_are_left_out_and_counted(raw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "walk.mp4").write_bytes((raw / "walk.mp4").read_bytes())
    sound = noise(4.2, 48_000)
    sound[: 2 * 48_000] *= 10 ** (-30 / 20)
    make_sound(folder / "walk.wav", sound, 48_000)
    encode = EncodeOptions(size=SIZE, rate=48_000, silence=17)
    report = build(folder, tmp_path / "out", BuildOptions(encode, split="train=1"), local(1))
    assert report["silent"] == {"walk": 1}
    clips = members_in(tmp_path / "out")
    assert list(clips) == ["walk-000001"]  # which keeps its number, and so its time
    levels = json.loads(clips["walk-000001"]["json"])["rms"]
    assert manifest.load(tmp_path / "out").mean_rms == levels
    assert len(_build(folder, tmp_path / "all", silence=40)) == 2


def test_a_recording_of_nothing_but_silence_is_refused(raw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "walk.mp4").write_bytes((raw / "walk.mp4").read_bytes())
    make_sound(folder / "walk.wav", np.zeros((int(4.2 * 48_000), 2), np.float32), 48_000)
    with pytest.raises(SourceError, match="walk holds nothing but silence"):
        _build(folder, tmp_path / "out", silence=17)


def test_every_clip_says_its_split(raw: Path, tmp_path: Path) -> None:
    for clip in _build(raw, tmp_path / "out").values():
        assert json.loads(clip["json"])["split"] == "train"


def test_pictures_become_samples_with_a_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 1)):
        for name in ("ant", "bee"):
            (tmp_path / "raw" / split / name).mkdir(parents=True)
            for i in range(count):
                picture = Image.fromarray(rng.integers(0, 255, (40 + i, 60, 3), np.uint8))
                picture.save(tmp_path / "raw" / split / name / f"{i}.jpg", quality=80)
    (tmp_path / "raw" / "train" / "bee" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    report = build(tmp_path / "raw", tmp_path / "out", BuildOptions(), local(1))
    assert report["splits"] == {"train": 6, "val": 2}
    assert len(report["broken"]) == 1 and "train/bee/broken.jpg" in report["broken"][0]
    found = manifest.load(tmp_path / "out")
    assert (found.media.picture, found.media.classes) == ("still", ("ant", "bee"))
    seen = set()
    for clip in members_in(tmp_path / "out").values():
        facts = json.loads(clip["json"])
        assert clip["jpg"] == (tmp_path / "raw" / facts["source"]).read_bytes()  # untouched
        assert facts["class"] == found.media.classes[facts["label"]] == facts["source"].split("/")[1]
        assert facts["split"] == facts["source"].split("/")[0]
        seen.add(facts["source"])
    assert len(seen) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": "mp4"}, "frames 'mp4' is unknown; there are jpeg, h264, hevc, vp9, av1, copy"),
        ({"sound": "mp3"}, "sound 'mp3' is unknown; there are pcm, flac"),
        ({"frames": "h264", "size": (33, 64)}, "size 33x64: h264 needs even sides"),
        ({"gop": 0}, "gop 0 must be at least 1"),
        ({"fps": 0.5, "flow": True}, "flow and mask need two frames a clip, and fps 0.5 gives 1"),
        ({"silence": -3.0}, "silence -3 dB must be positive"),
        ({"still": (4, 4)}, "size 4x4 is below 8 pixels"),
        ({"fps": 600.0}, "1200 frames a clip"),
    ],
)
def test_options_that_make_no_clip(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncodeOptions(**options)


def test_strict_stops_at_a_broken_picture_and_an_earlier_run_excuses_none(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "raw" / name / "a.jpg")
    (tmp_path / "raw" / "ant" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    options = BuildOptions(split="train=1")
    with pytest.raises(SourceError, match=r"--strict: .*ant/broken\.jpg"):
        build(tmp_path / "raw", tmp_path / "out", options, local(1), strict=True)
    with pytest.raises(SourceError, match=r"--strict: .*ant/broken\.jpg"):
        build(tmp_path / "raw", tmp_path / "out", options, local(1), strict=True)
    assert len(build(tmp_path / "raw", tmp_path / "out", options, local(1))["broken"]) == 1
    with pytest.raises(SourceError, match=r"--strict: .*ant/broken\.jpg"):
        build(tmp_path / "raw", tmp_path / "out", options, local(1), strict=True)


@pytest.mark.parametrize("name", ["lost+found", ".nfs0000a1", ".DS_Store"])
def test_what_the_system_puts_into_a_folder_is_in_nobodys_way(raw: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "out" / name).mkdir(parents=True)
    assert len(_build(raw, tmp_path / "out")) == 2
