"""YT-360's layout: pairs of files by name, lists of ids, and ambisonic sound from the file to the eight ears."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from dataio.format.clip import PAIRS, slug
from dataio.ingest.media.ambisonics import BinauralTrack
from dataio.ingest.media.sound import open_track, window
from dataio.ingest.sources import Ear, Recording, Refused, SourceError, detect, find
from dataio.ingest.sources.yt360 import family
from tests.media import make_video, numbered

RATE = 48_000
NAMES = ("abcdefghijk-20", "abcdefghijk-130", "-a_b-c-d_e--40", "_9-Z01-2345-0")


def make_ambisonic(path: Path, sound: np.ndarray, rate: int = RATE, layout: str = "4.0") -> Path:
    """Write an m4a as YT-360's are: (n, channels) float32 in AAC, in the order W, Y, Z, X."""
    with av.open(str(path), "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        stream.bit_rate = 128_000 * sound.shape[1]
        for at in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[at : at + 1024].T), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def tones(seconds: float, hertz: tuple[float, ...]) -> np.ndarray:
    """A tone of its own in every channel: (n, channels) float32."""
    time = np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.2 * np.sin(2 * np.pi * f * time) for f in hertz], 1).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four clips of three ids, a moment long."""
    for folder in ("video", "audio"):
        (tmp_path / folder).mkdir()
    for name in NAMES:
        make_video(tmp_path / "video" / f"{name}.mp4", [numbered(k, 32, 64) for k in range(3)], fps=10)
        make_ambisonic(tmp_path / "audio" / f"{name}.m4a", tones(0.3, (200, 300, 400, 500)))
    return tmp_path


def test_clips_are_found_by_themselves_with_four_pairs_from_one_file(source: Path) -> None:
    assert detect(source) == "yt360"
    found = find(source, "auto")
    assert [r.name for r in found] == sorted(NAMES)
    for recording in found:
        assert isinstance(recording, Recording) and recording.ambisonic and recording.split is None
        sound = source / "audio" / f"{recording.name}.m4a"
        assert recording.video == source / "video" / f"{recording.name}.mp4"
        assert list(recording.pairs) == list(PAIRS)
        assert [ear for pair in recording.pairs.values() for ear in pair] == [Ear(sound, channel) for channel in range(8)]
        slug(recording.name)  # a name that a key can be made of


def test_clips_of_one_id_are_a_family() -> None:
    assert [family(name) for name in NAMES] == ["abcdefghijk", "abcdefghijk", "-a_b-c-d_e-", "_9-Z01-2345"]
    assert [family(name) for name in ("id-1.5", "id-x", "7", "-7")] == ["id", "id-x", "7", "-7"]


def test_the_lists_give_the_split_of_an_id_and_all_its_clips(source: Path) -> None:
    (source / "train.txt").write_text("abcdefghijk\n\nother_id_00\n")
    (source / "test.txt").write_text("-a_b-c-d_e-\r\n")
    assert {r.name: r.split for r in find(source, "auto")} == dict(zip(NAMES, ("train", "train", "test", None), strict=True))
    (source / "test.txt").write_text("abcdefghijk")
    with pytest.raises(SourceError, match=r"abcdefghijk is listed both in train\.txt and in test\.txt"):
        find(source, "auto")
    (source / "test.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(SourceError, match=r"test\.txt cannot be read as a list of ids"):
        find(source, "auto")


def test_what_is_wrong_with_a_clip_is_said_in_a_sentence(source: Path) -> None:
    (source / "video" / f"{NAMES[0]}.mp4").unlink()
    (source / "audio" / f"{NAMES[1]}.m4a").unlink()
    (source / "audio" / f"{NAMES[2]}.m4a").write_bytes(b"no sound")
    make_ambisonic(source / "audio" / f"{NAMES[3]}.m4a", tones(0.3, (200, 300)), layout="stereo")
    reasons = {found.name: found.reason for found in find(source, "yt360") if isinstance(found, Refused)}
    assert reasons == {
        NAMES[0]: f"{NAMES[0]} has no video/{NAMES[0]}.mp4",
        NAMES[1]: f"{NAMES[1]} has no audio/{NAMES[1]}.m4a",
        NAMES[2]: f"{NAMES[2]}.m4a cannot be read as audio: Invalid data found when processing input",
        NAMES[3]: f"{NAMES[3]}.m4a has 2 channels; first-order ambisonics has 4: W, Y, Z, X",
    }


def test_other_folders_are_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    make_video(tmp_path / "video" / "a.mp4", [numbered(0, 32, 64)] * 3)
    (tmp_path / "audio").mkdir()
    assert detect(tmp_path) == "folder"
    (tmp_path / "video" / "a.mp4").unlink()
    with pytest.raises(SourceError, match=r"holds neither video/ID-START\.mp4 nor audio/ID-START\.m4a"):
        find(tmp_path, "yt360")


@pytest.mark.parametrize("layout", ["4.0", "quad"])
def test_aac_gives_the_channels_back_in_the_order_in_which_they_were_written(tmp_path: Path, layout: str) -> None:
    hertz = (300.0, 700.0, 1500.0, 3100.0)
    track = open_track(make_ambisonic(tmp_path / "a.m4a", tones(1, hertz), layout=layout), RATE)
    heard = track.read(8000, 32_000)
    track.close()
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(32_000)[:, None], axis=0))
    assert [round(peak * 1.5) for peak in spectrum.argmax(0)] == pytest.approx(hertz, abs=3)


def test_from_the_file_to_the_ears_a_source_is_heard_where_it_is_and_when(source: Path) -> None:
    """Noise bursts from the right, at 0.5 s: the head that looks there hears them in front, the others at their sides."""
    burst = np.zeros(RATE, np.float32)
    burst[RATE // 2 : RATE // 2 + 4800] = np.random.default_rng(0).standard_normal(4800) * 0.1
    field = burst[:, None] * np.array([1, -1, 0, 0], np.float32)  # W, Y, Z, X: azimuth 90° clockwise
    make_ambisonic(source / "audio" / f"{NAMES[0]}.m4a", field)
    recording = next(r for r in find(source, "auto") if r.name == NAMES[0])
    assert isinstance(recording, Recording)
    for rate in (RATE, 96_000):
        track = BinauralTrack(open_track(recording.pairs["front"][0].path, rate))
        heard = window(track, 0, rate, rate).astype(np.float64) / 32768
        track.close()
        level = {pair: [np.sqrt(np.mean(heard[:, ear.channel] ** 2)) for ear in ears] for pair, ears in recording.pairs.items()}
        assert level["right"][0] == pytest.approx(level["right"][1], rel=0.02) and level["left"][0] == pytest.approx(
            level["left"][1], rel=0.02
        )
        assert level["front"][1] > 2 * level["front"][0] and level["back"][0] > 2 * level["back"][1]
        assert level["right"][0] > 1.3 * level["left"][0]
        loud = np.flatnonzero(np.abs(heard[:, 2]) > 0.02) / rate
        assert loud[0] == pytest.approx(0.5, abs=0.002) and loud[-1] == pytest.approx(0.6, abs=0.003)
