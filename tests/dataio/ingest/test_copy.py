"""Copied clips: every frame that was on display in the recording, bit for bit, at its time, whatever the file is made of."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataio.ingest.encode import copy
from dataio.ingest.encode.container import encode_video
from dataio.ingest.encode.copy import CopiedClip, copied, decode_times
from dataio.ingest.errors import SourceError
from dataio.ingest.media.container import probe
from tests.media import make_sound, make_video, noise, numbered, read_number

FPS = 25


def _frames(source: str | bytes) -> list[tuple[Fraction, np.ndarray]]:
    """Time stamp, in seconds of the container's clock, and planes of every frame."""
    with av.open(source if isinstance(source, str) else io.BytesIO(source)) as container:
        return [(frame.pts * frame.time_base, frame.to_ndarray()) for frame in container.decode(video=0)]


def _check(path: Path, clips: Sequence[CopiedClip], seconds: float) -> None:
    """What a player shows of each clip, from its offset on, is what it shows of the recording."""
    source = _frames(str(path))
    zero = source[0][0]
    times = [float(time - zero) for time, _ in source]
    tick = 2e-3  # Matroska rounds to 1 ms
    for number, clip in enumerate(clips):
        start, end = number * seconds, (number + 1) * seconds
        begun = max(i for i, time in enumerate(times) if time <= start + tick)
        expected = [i for i, time in enumerate(times) if i >= begun and time < end - tick]
        assert clip.frame_times == pytest.approx([times[i] for i in expected], abs=1e-6)
        file = _frames(clip.data)
        assert file[0][0] == 0
        assert len(file) == clip.frames
        first = len([time for time, _ in file if float(time) <= clip.offset + tick]) - 1
        shown = [(time, planes) for time, planes in file[first:] if float(time) < clip.offset + seconds - tick]
        assert len(shown) == len(expected)
        for (time, planes), i in zip(shown, expected, strict=True):
            assert float(time) - clip.offset == pytest.approx(times[i] - start, abs=tick)
            assert np.array_equal(planes, source[i][1]), f"clip {number}, frame {i}"
        facts = probe(clip.data)
        assert facts.reordered or len(file) == first + len(expected)  # nothing behind the clip, unless its frames need it
        assert (facts.height, facts.width, facts.frames) == (clip.height, clip.width, clip.frames)
        assert facts.times[0] == 0
        with av.open(io.BytesIO(clip.data)) as container:
            assert [stream.type for stream in container.streams] == ["video"]
            assert {"mp4": "mp4", "webm": "webm"}[clip.extension] in container.format.name
        if clip.extension == "mp4":
            assert clip.data.find(b"moov") < clip.data.find(b"mdat")
            assert b"edts" not in clip.data


def _pictures(count: int) -> list[np.ndarray]:
    """Numbered frames over a drifting pattern: each differs from the others by more than its number."""
    pattern = np.random.default_rng(4).integers(0, 60, (32, 64 + 2 * count, 1)).astype(np.uint8)
    return [numbered(k % 256, 32, 64) // 2 + pattern[:, 2 * k : 2 * k + 64] for k in range(count)]


@dataclass(frozen=True)
class Form:
    name: str
    codec: str = "libx264"
    gop: int = 12
    b_frames: int = 0
    start: float = 0.0
    extension: str = "mp4"


FORMS = [
    Form("a.mp4", gop=1),
    Form("b.mp4", gop=12, start=3.0),
    Form("c.mp4", gop=60),
    Form("d.mp4", gop=12, b_frames=2, start=3.0),
    Form("e.mov", gop=60, b_frames=2),
    Form("f.mkv", gop=12, b_frames=3),
    Form("g.mkv", gop=12, start=1.234),
    Form("h.webm", codec="libvpx-vp9", gop=30, extension="webm"),
    Form("i.mkv", codec="libvpx-vp9", gop=7, start=2.0, extension="webm"),
    Form("j.mov", codec="mjpeg"),
    Form("l.mp4", codec="libsvtav1", gop=12),
    Form("m.mkv", codec="libsvtav1", gop=12, extension="webm"),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.name} {form.codec} {form.gop} {form.b_frames}")
@pytest.mark.parametrize("seconds", [1.5, 0.7])
def test_a_clip_shows_what_the_recording_shows(form: Form, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVT_LOG", "0")
    how = {"codec": form.codec, "gop": form.gop, "b_frames": form.b_frames, "start": form.start}
    path = make_video(tmp_path / form.name, _pictures(110), fps=FPS, **how)
    clips = list(copied(path, seconds, 99))
    assert len(clips) == int(4.4 / seconds + 1e-9)
    assert {clip.extension for clip in clips} == {form.extension}
    _check(path, clips, seconds)
    for number, clip in enumerate(clips):  # the key frame is the last one at or before the start
        if form.codec == "libx264":
            assert clip.offset == pytest.approx(
                number * seconds - int(number * seconds * FPS + 0.03) // form.gop * form.gop / FPS, abs=2e-3
            )
        assert probe(clip.data).reordered == (form.b_frames > 0)


ALONE = "threads=1:lookahead-threads=1:scenecut=0:b-adapt=0"


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"x264-params": f"{ALONE}:bframes=3:open-gop=1:keyint=10"}),
        ("libx264", {"x264-params": f"{ALONE}:bframes=7:b-pyramid=normal:keyint=30"}),
        ("libx265", {"x265-params": "bframes=4:b-adapt=0:open-gop=1:keyint=16:log-level=none:pools=none:frame-threads=1"}),
        ("mpeg4", {"g": "14", "bf": "2"}),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_open_groups_and_pyramids(codec: str, options: dict[str, str], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = 32, 64, "yuv420p"
        for k, rgb in enumerate(_pictures(100)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clips = list(copied(path, 0.9, 99))
    assert len(clips) == 4
    _check(path, clips, 0.9)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_variable_rate_and_a_frozen_picture(suffix: str, tmp_path: Path) -> None:
    gaps = np.random.default_rng(8).choice([0.02, 0.04, 0.1, 0.25], 60)
    gaps[20] = 3.0  # nothing new for three seconds: two clips show one frame only
    times = [0.0, *np.cumsum(gaps)]
    path = make_video(tmp_path / f"a.{suffix}", _pictures(61), times=times, gop=6, b_frames=2, start=1.0)
    clips = list(copied(path, 1.0, 99))
    assert len(clips) in (int(times[-1]), int(times[-1]) + 1)
    assert min(len(clip.frame_times) for clip in clips) == 1
    _check(path, clips, 1.0)


def test_what_an_edit_list_hides_is_not_counted(tmp_path: Path) -> None:
    """A recording trimmed without re-encoding: it begins in the middle of a group, and the list says how much not to show."""
    make_video(tmp_path / "long.mp4", _pictures(100), fps=FPS, gop=20, b_frames=2)
    with av.open(str(tmp_path / "long.mp4")) as long, av.open(str(tmp_path / "a.mp4"), "w") as container:
        source = long.streams.video[0]
        out = container.add_stream_from_template(source, opaque=True)
        step = source.duration // 100
        for packet in long.demux(source):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts - 7 * step, packet.dts - 7 * step, out
                container.mux(packet)
    with av.open(str(tmp_path / "a.mp4")) as container:
        hidden = sum(packet.is_discard for packet in container.demux(video=0) if packet.size)
    assert hidden >= 5
    clips = list(copied(tmp_path / "a.mp4", 1.5, 99))
    assert len(clips) == 2
    assert clips[0].offset == pytest.approx(7 / FPS)
    _check(tmp_path / "a.mp4", clips, 1.5)


def test_rotation_stays_and_sound_goes(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", _pictures(50), fps=FPS, sound=noise(2, 48_000))
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd")
    assert data[at + 44 : at + 80] == struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    data[at + 44 : at + 80] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 32 * 65536, 0, 1 << 30)
    path.write_bytes(data)
    (clip,) = copied(path, 2.0, 9)
    with av.open(str(path)) as source, av.open(io.BytesIO(clip.data)) as container:
        turned = [next(each.decode(video=0)).rotation for each in (source, container)]
    assert turned[0] == turned[1] != 0
    _check(path, [clip], 2.0)


@pytest.mark.parametrize(("frames", "clips"), [(24, 0), (25, 1), (49, 1), (50, 2), (51, 2)])
def test_only_whole_clips_and_no_more_than_asked_for(frames: int, clips: int, tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv"):
        path = make_video(tmp_path / f"a.{suffix}", _pictures(frames), fps=FPS)
        assert len(list(copied(path, 1.0, 99))) == clips
        assert len(list(copied(path, 1.0, 1))) == min(clips, 1)
    assert list(copied(path, 1.0, 0)) == []


def test_the_same_recording_gives_the_same_bytes(tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv"):
        path = make_video(tmp_path / f"a.{suffix}", _pictures(60), fps=FPS, b_frames=2)
        other = tmp_path / f"elsewhere.{suffix}"
        other.write_bytes(path.read_bytes())
        assert list(copied(path, 1.0, 9)) == list(copied(other, 1.0, 9))


def test_a_key_frame_too_far_away_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", _pictures(100), fps=5, gop=1000)
    taken = []
    with pytest.raises(
        SourceError, match=r"^a\.mp4 has a clip that starts at 12 s, 12\.0 s after its last key frame; .* every 10 s$"
    ):
        taken.extend(copied(path, 2.0, 10))
    assert len(taken) == 6
    _check(path, taken, 2.0)


def test_memory_holds_one_clip_and_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "a.mp4", (numbered(k % 256, 16, 32) for k in range(1500)), fps=FPS, gop=20, b_frames=2)
    read = 0
    original = copy._packets

    def counting(*args):
        nonlocal read
        for packet in original(*args):
            read += 1
            yield packet

    monkeypatch.setattr(copy, "_packets", counting)
    clips = copied(path, 2.0, 99)
    for number, clip in enumerate(clips):
        assert read <= (number + 1) * 50 + 6
        assert clip.frames <= 20 + 50 + 3
        assert len(clips.gi_frame.f_locals["held"]) <= 20 + 50 + 6
    assert number == 29


@pytest.mark.parametrize(
    ("name", "codec", "message"),
    [("a.mkv", "ffv1", "a.mkv is of codec ffv1, which cannot be copied; h264, "), ("a.webm", "libvpx", "a.webm is of codec vp8")],
)
def test_a_codec_that_no_clip_may_hold(name: str, codec: str, message: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / name, _pictures(30), fps=FPS, codec=codec)
    with pytest.raises(SourceError, match=message):
        list(copied(path, 1.0, 9))


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    make_sound(tmp_path / "sound.wav", noise(1))
    (tmp_path / "text.mp4").write_text("no video")
    for name, message in {
        "sound.wav": "sound.wav holds no video",
        "text.mp4": "text.mp4 cannot be read as video",
        "none.mp4": "none.mp4 cannot be read as video",
    }.items():
        with pytest.raises(SourceError, match=message) as error:
            list(copied(tmp_path / name, 1.0, 9))
        assert str(tmp_path) not in str(error.value)


def test_two_frames_at_one_time_are_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", _pictures(50), times=[k / FPS if k != 30 else 29 / FPS + 1e-4 for k in range(50)])
    with pytest.raises(SourceError, match="a.mkv cannot be copied from 1 s on"):
        list(copied(path, 1.0, 9))


def _clips_or_sentence(path: Path, seconds: float, most: int) -> list[CopiedClip] | str:
    try:
        return list(copied(path, seconds, most))
    except SourceError as error:
        return str(error)


@pytest.fixture(scope="module", params=["mp4", "mov", "mkv", "webm"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds; as `.mp4` with the head before the data, so that a file that was cut off can still be opened."""
    path = tmp_path_factory.mktemp("whole") / f"a.{request.param}"
    if request.param == "mp4":
        path.write_bytes(encode_video(_pictures(75), fps=FPS, codec="h264"))
        return path
    return make_video(path, _pictures(75), fps=FPS, codec="libvpx-vp9" if request.param == "webm" else "libx264")


def test_a_file_cut_off_gives_the_clips_before_the_cut_or_a_sentence(whole: Path, tmp_path: Path) -> None:
    data, expected = whole.read_bytes(), list(copied(whole, 1.0, 3))
    assert len(expected) == 3
    path, counts = tmp_path / whole.name, set()
    for length in np.linspace(0, len(data) - 1, 40).astype(int):
        path.write_bytes(data[:length])
        ended = _clips_or_sentence(path, 1.0, 3)
        if isinstance(ended, str):
            assert path.name in ended
            assert str(tmp_path) not in ended
        else:
            assert [clip.frame_times for clip in ended] == [clip.frame_times for clip in expected[: len(ended)]]
            assert all(_same(clip.data, other.data) for clip, other in zip(ended, expected, strict=False))
            counts.add(len(ended))
    assert counts >= ({1, 2} if path.suffix in (".mkv", ".webm") else set())


def _same(data: bytes, other: bytes) -> bool:
    return all(np.array_equal(a[1], b[1]) and a[0] == b[0] for a, b in zip(_frames(data), _frames(other), strict=True))


def test_bytes_changed_give_clips_that_can_be_opened_or_a_sentence(whole: Path, tmp_path: Path) -> None:
    chance = np.random.default_rng(6)
    path, sentences = tmp_path / whole.name, 0
    for trial in range(40):
        data = bytearray(whole.read_bytes())
        for at in chance.integers(0, len(data) if trial % 2 else 1500, 30):
            data[at] = int(chance.integers(256))
        path.write_bytes(data)
        ended = _clips_or_sentence(path, 1.0, 3)
        if isinstance(ended, str):
            assert path.name in ended
            assert str(tmp_path) not in ended
            sentences += 1
        else:
            assert len(ended) <= 3
            assert all(probe(clip.data).frames == clip.frames for clip in ended)
    assert sentences


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40, unique=True))
def test_decode_times_ascend_and_are_never_late(shown: list[int]) -> None:
    times = decode_times(shown)
    assert all(a < b for a, b in zip(times, times[1:], strict=False))
    assert all(time <= tick for time, tick in zip(times, shown, strict=True))
    assert any(time == tick for time, tick in zip(times, shown, strict=True))  # and no earlier than they must be
    assert decode_times(sorted(shown)) == sorted(shown)


def test_numbers_can_be_read_in_a_copied_clip(tmp_path: Path) -> None:
    """The same as above, seen by eye: what the stripes say."""
    path = make_video(tmp_path / "a.mp4", (numbered(k) for k in range(100)), fps=FPS, gop=12, b_frames=2, start=3.0)
    for number, clip in enumerate(copied(path, 1.5, 9)):
        with av.open(io.BytesIO(clip.data)) as container:
            seen = [(float(f.pts * f.time_base), read_number(f.to_ndarray(format="rgb24"))) for f in container.decode(video=0)]
        expected = [k for k in range(100) if number * 37.5 - 1 < k < (number + 1) * 37.5]
        assert [k for time, k in seen if clip.offset - 0.04 < time < clip.offset + 1.5 - 1e-6] == expected
