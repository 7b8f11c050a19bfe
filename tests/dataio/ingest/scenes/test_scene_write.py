"""Folders of scenes: what is in them, that it fits together, and that runs can be repeated, resumed and refused."""

import json
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dataio.format.clip import PAIRS
from dataio.format.sphere import column
from dataio.ingest.scenes import recording, write_recordings
from dataio.ingest.scenes.picture import Camera
from dataio.ingest.scenes.world import draw_scene

FILES = {"video.mp4", "classes.mkv", "truth.json", *(f"{pair}.wav" for pair in PAIRS)}
OPTIONS = {"seconds": 2.0, "seed": 5, "size": (64, 128), "fps": 10, "rate": 48_000}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "raw"
    assert write_recordings(out, recordings=3, **OPTIONS) == ["scene-0000", "scene-0001", "scene-0002"]
    return out


def _frames(path: Path, pixels: str) -> tuple[np.ndarray, list[Fraction]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return np.array([frame.to_ndarray(format=pixels) for frame in frames]), [frame.pts * frame.time_base for frame in frames]


def _sound(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in sorted(FILES) if name.endswith((".wav", ".json"))}


def test_a_set_holds_complete_scenes_and_a_marker(scenes: Path) -> None:
    assert {path.name for path in scenes.iterdir()} == {"scene-0000", "scene-0001", "scene-0002", "synthetic.json"}
    for folder in scenes.glob("scene-*"):
        assert {path.name for path in folder.iterdir()} == FILES
    marker = json.loads((scenes / "synthetic.json").read_text())
    assert marker["format"] == "sonosphere-synthetic" and marker["version"] == 1
    assert marker["options"] == {**OPTIONS, "size": [64, 128], "recordings": 3}


def test_wavs_are_16_bit_pairs_of_the_asked_length(scenes: Path) -> None:
    for pair in PAIRS:
        with wave.open(str(scenes / "scene-0001" / f"{pair}.wav")) as file:
            assert file.getparams()[:4] == (2, 2, 48_000, 96_000)
            sound = np.frombuffer(file.readframes(96_000), "<i2").reshape(-1, 2)
        assert sound.shape == (96_000, 2) and (sound.std(0) > 10.0).all()


def test_video_is_h264_in_short_closed_groups_without_b_frames(scenes: Path) -> None:
    with av.open(str(scenes / "scene-0000" / "video.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate) == (128, 64, 10)
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert all(packet.pts == packet.dts for packet in packets)
    assert [k for k, packet in enumerate(packets) if packet.is_keyframe] == [0, 8, 16]


def test_frames_and_class_maps_show_the_scene_at_their_time(scenes: Path) -> None:
    for index in range(3):
        video, times = _frames(scenes / f"scene-{index:04d}" / "video.mp4", "rgb24")
        maps, map_times = _frames(scenes / f"scene-{index:04d}" / "classes.mkv", "gray")
        assert times == map_times == [Fraction(k, 10) for k in range(20)]
        camera = Camera(draw_scene(5, index), (64, 128))
        errors = np.array([[np.abs(camera.shoot(j / 10)[0] - video[k].astype(float)).mean() for j in range(20)] for k in range(20)])
        np.testing.assert_array_equal(errors.argmin(1), np.arange(20))
        assert errors.diagonal().max() < 4.0
        for k in range(20):
            np.testing.assert_array_equal(maps[k], camera.shoot(k / 10)[1])
        assert set(np.unique(maps)) <= {0, 1, 2, 3}


def test_objects_in_the_class_maps_are_where_the_truth_says(scenes: Path) -> None:
    """Truth and video are both 10 a second here, so that they can be compared frame by frame."""
    checked = 0
    for folder in sorted(scenes.glob("scene-*")):
        truth = json.loads((folder / "truth.json").read_text())
        maps, _ = _frames(folder / "classes.mkv", "gray")
        assert truth["classes"] == ["background", "car", "tram", "motorcycle"]
        assert truth["times"][:20] == [k / 10 for k in range(20)]
        for one in (thing for thing in truth["objects"] if thing["sounding"]):
            for k in range(20):
                nearer = [thing["azimuth"][k] for thing in truth["objects"] if thing["distance"][k] < one["distance"][k]]
                if any(abs((azimuth - one["azimuth"][k] + 180.0) % 360.0 - 180.0) < 90.0 for azimuth in nearer):
                    continue  # it may hide a part of this one
                across = np.flatnonzero((maps[k] == one["class_id"]).any(0)) - column(one["azimuth"][k], 128)
                across = (across + 64) % 128 - 64
                assert abs(across.min() + across.max()) / 2 <= 1.0
                checked += 1
    assert checked >= 40


def test_truth_lists_every_thing(scenes: Path) -> None:
    truth = json.loads((scenes / "scene-0002" / "truth.json").read_text())
    things = draw_scene(5, 2).things
    assert [(t["class"], t["class_id"], t["sounding"], t["moving"]) for t in truth["objects"]] == [
        (thing.kind, thing.class_id, thing.sounding, thing.moving) for thing in things
    ]
    for thing in truth["objects"]:
        assert len(thing["azimuth"]) == len(thing["elevation"]) == len(thing["distance"]) == len(truth["times"]) == 21
        assert all(-180.0 <= value <= 180.0 for value in thing["azimuth"])
        assert thing["sounding"] == (thing["class_id"] > 0)


def test_a_scene_does_not_depend_on_their_number_or_on_workers(scenes: Path, tmp_path: Path) -> None:
    done: list[str] = []
    names = write_recordings(tmp_path / "two", recordings=2, workers=2, on_done=done.append, **OPTIONS)
    assert names == sorted(done) == ["scene-0000", "scene-0001"]
    for name in names:
        assert _sound(tmp_path / "two" / name) == _sound(scenes / name)
        for file in ("video.mp4", "classes.mkv"):
            assert (tmp_path / "two" / name / file).read_bytes() == (scenes / name / file).read_bytes()


def test_seed_and_number_change_everything(scenes: Path, tmp_path: Path) -> None:
    write_recordings(tmp_path / "a", recordings=1, **{**OPTIONS, "seed": 6})
    sounds = [_sound(folder)["front.wav"] for folder in (scenes / "scene-0000", scenes / "scene-0001", tmp_path / "a/scene-0000")]
    assert len(set(sounds)) == 3


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    small = {**OPTIONS, "seconds": 0.3}
    draw = recording.draw_scene

    def failing(seed: int, index: int) -> object:
        if index == 1:
            raise OSError("No space left on device")
        return draw(seed, index)

    monkeypatch.setattr(recording, "draw_scene", failing)
    with pytest.raises(OSError, match="No space left"):
        write_recordings(out, recordings=3, **small)
    assert not (out / "synthetic.json").exists()
    assert sorted(path.name for path in out.iterdir()) == [".synthetic.json.partial", "scene-0000"]
    monkeypatch.undo()

    (out / ".scene-0001.partial").mkdir()  # as left by a process that had no time to tidy up
    (out / ".scene-0001.partial" / "video.mp4").write_bytes(b"half")
    stamp = (out / "scene-0000" / "front.wav").stat().st_mtime_ns
    done: list[str] = []
    write_recordings(out, recordings=3, on_done=done.append, **small)
    assert done == ["scene-0000", "scene-0001", "scene-0002"]
    assert (out / "scene-0000" / "front.wav").stat().st_mtime_ns == stamp
    assert sorted(path.name for path in out.iterdir()) == [*done, "synthetic.json"]


def test_other_arguments_are_refused_and_nothing_changes(scenes: Path) -> None:
    before = sorted(path.name for path in scenes.iterdir())
    for change, words in (({"seed": 6}, "seed=5"), ({"fps": 8}, "fps=10"), ({"size": (32, 64)}, r"size=\[64, 128\]")):
        with pytest.raises(ValueError, match=f"holds scenes made with {words}: repeat"):
            write_recordings(scenes, recordings=3, **{**OPTIONS, **change})
    with pytest.raises(ValueError, match="recordings=3"):
        write_recordings(scenes, recordings=4, **OPTIONS)
    assert sorted(path.name for path in scenes.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recordings": 0}, "recordings=0 .* from 1 to 1000000"),
        ({"seconds": 0.0}, "seconds=0.0 .* from 0.1"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"seconds": 1e6}, "longest wav file of 48000"),
        ({"seed": -1}, "seed=-1 .* from 0"),
        ({"size": (63, 128)}, r"size=\(63, 128\) .* even"),
        ({"size": 64}, "size=64"),
        ({"fps": 7.5}, "fps=7.5 .* whole number from 1 to 240"),
        ({"rate": 8_000}, "rate=8000 .* from 32000 to 192000"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_a_bad_argument_is_named_and_makes_no_folder(change: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        write_recordings(tmp_path / "out", **{"recordings": 1, **OPTIONS, **change})
    assert not (tmp_path / "out").exists()


def test_a_foreign_folder_or_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"x")
    with pytest.raises(ValueError, match="neither empty nor a set of synthetic scenes"):
        write_recordings(tmp_path, recordings=1, **OPTIONS)
    with pytest.raises(ValueError, match="is a file"):
        write_recordings(tmp_path / "holiday.mp4", recordings=1, **OPTIONS)
    (tmp_path / "synthetic.json").write_text("[]")
    with pytest.raises(ValueError, match="no set of synthetic scenes of this version"):
        write_recordings(tmp_path, recordings=1, **OPTIONS)


def test_an_odd_length_has_every_frame_that_begins_in_it(tmp_path: Path) -> None:
    write_recordings(tmp_path / "out", recordings=1, **{**OPTIONS, "seconds": 0.75, "rate": 44_100})
    folder = tmp_path / "out" / "scene-0000"
    assert _frames(folder / "video.mp4", "rgb24")[1][-1] == Fraction(7, 10)
    with wave.open(str(folder / "left.wav")) as file:
        assert file.getnframes() == 33_075
