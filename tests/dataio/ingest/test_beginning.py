"""A video that does not begin with a key frame: picture, copied packets and sound count from the first frame that can be shown."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dataio.ingest.encode import EncodeOptions, encode
from dataio.ingest.errors import SourceError
from dataio.ingest.media.beginning import unseen
from dataio.ingest.media.picture import frames_at
from tests.clips import clips_of, recording_in
from tests.media import clicks, make_sound, make_video, numbered, plain, read_number

FPS, GOP, RATE = 30, 60, 48_000
CUT = 70  # the frame that the cut video begins with; the next key frame is 120, so that the first 50 cannot be shown
FLASHES = [4.5, 5.0, 7.3]  # seconds of the whole video, in which its first frame that can be shown after the cut is at 4.0 s
FORMS = {
    "h264 in mkv": ("a.mkv", "libx264", 0),
    "h264 in mp4": ("a.mp4", "libx264", 0),
    "h264 with B-frames in mkv": ("a.mkv", "libx264", 2),
    "h264 with B-frames in mp4": ("a.mp4", "libx264", 2),
    "vp9 in mkv": ("a.mkv", "libvpx-vp9", 0),
    "vp9 in mp4": ("a.mp4", "libvpx-vp9", 0),
}


def _cut(whole: Path, path: Path, sound: bool) -> float:
    """All packets from frame CUT on, as a tool copies them that does not look for key frames; seconds from there to frame 120."""
    with av.open(str(whole)) as source, av.open(str(path), "w") as out:
        streams = [source.streams.video[0], *(source.streams.audio if sound else ())]
        to = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in streams}
        seen, first, begins = 0, 0, Fraction(0)
        for packet in source.demux(streams):
            if not packet.size:
                continue
            time = packet.pts * packet.time_base
            if packet.stream.type == "video":
                seen += 1
                if seen <= CUT:
                    continue
                begins = begins or time
                if packet.is_keyframe:
                    first = first or time
            elif time < Fraction(CUT, FPS):
                continue
            packet.stream = to[packet.stream.index]
            out.mux(packet)
    return float(first - begins)


def _made(folder: Path, form: str, place: str) -> tuple[Path, float]:
    name, codec, b_frames = FORMS[form]
    sound = clicks(9.0, FLASHES, RATE, level=0.9)
    pictures = (plain(250 if k in [round(t * FPS) for t in FLASHES] else 20, 32, 64) for k in range(260))
    whole = make_video(
        folder / f"whole.{name}", pictures, fps=FPS, codec=codec, gop=GOP, b_frames=b_frames, sound=sound, sound_codec="libopus"
    )
    (folder / "raw").mkdir()
    hidden = _cut(whole, folder / "raw" / name, place == "inside")
    if place == "beside":  # recorded from the first packet of the cut video on
        make_sound(folder / "raw" / "a.wav", sound[round((4.0 - hidden) * RATE) :], RATE)
    return folder / "raw" / name, hidden


@pytest.mark.parametrize("place", ["inside", "beside"])
@pytest.mark.parametrize("form", FORMS)
def test_flash_and_click_meet(tmp_path: Path, form: str, place: str) -> None:
    video, hidden = _made(tmp_path, form, place)
    assert unseen(video) == pytest.approx(hidden, abs=0.05)
    assert 1.5 < unseen(video) < 1.8
    with av.open(str(video)) as container:
        assert not next(packet for packet in container.demux(video=0) if packet.size).is_keyframe
    clips = clips_of(video.parent, EncodeOptions(fps=FPS, size=(16, 32), rate=RATE))
    assert len(clips) == 2
    found = []
    for clip in clips:
        start = clip.json["start"]
        level = np.abs(clip.pcm["front"].astype(int)).max(1)
        for time, picture in zip(clip.json["frame_times"], clip.frames, strict=True):
            if picture.mean() > 135:
                near = max(0, round((time - start - 0.1) * RATE))
                heard = start + (near + level[near : near + round(0.2 * RATE)].argmax()) / RATE
                assert heard == pytest.approx(time, abs=0.005)
                found.append(time)
    assert found == pytest.approx([time - 4.0 for time in FLASHES], abs=0.003)


@pytest.mark.parametrize("form", FORMS)
def test_copied_packets_have_the_same_sound_and_the_same_clock(tmp_path: Path, form: str) -> None:
    video, _ = _made(tmp_path, form, "inside")
    decoded = clips_of(video.parent, EncodeOptions(fps=FPS, size=(16, 32), rate=RATE))
    spool = io.BytesIO()
    encoded = encode(recording_in(video.parent), EncodeOptions(frames="copy", rate=RATE), video.parent, spool)
    data = spool.getvalue()
    assert len(encoded.clips) == len(decoded) == 2
    for clip, other in zip(encoded.clips, decoded, strict=True):
        members = {m.extension: data[m.offset : m.offset + m.length] for m in clip.members}
        assert members["front.wav"] == other.members["front.wav"]
        (name,) = {"mp4", "webm"} & members.keys()
        with av.open(io.BytesIO(members[name])) as container:
            first = next(iter(container.decode(video=0))).to_ndarray(format="gray").mean()
        assert first < 135  # it can be decoded, from a key frame on


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {}),
        ("a.mp4", {"start": 1.5, "b_frames": 2}),
        ("a.mkv", {"start": 3.0, "b_frames": 2}),
        ("a.webm", {"codec": "libvpx-vp9", "start": 0.7}),
        ("a.mov", {"codec": "mjpeg"}),
    ],
)
def test_nothing_is_unseen_of_a_video_that_begins_with_a_key_frame(tmp_path: Path, name: str, how: dict) -> None:
    assert unseen(make_video(tmp_path / name, (plain(k, 32, 64) for k in range(40)), **how)) == 0.0


def test_frames_that_an_edit_list_hides_are_not_unseen(tmp_path: Path) -> None:
    whole, path = make_video(tmp_path / "whole.mp4", (numbered(k) for k in range(120)), gop=30, b_frames=2), tmp_path / "a.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = source.streams.video[0]
        to = out.add_stream_from_template(stream, opaque=True)
        for packet in (packet for packet in source.demux(stream) if packet.size and packet.pts * packet.time_base >= 1):
            late = round(Fraction(40, FPS) / packet.time_base)  # to begin in the midst of the second group
            packet.pts, packet.dts, packet.stream = packet.pts - late, packet.dts - late, to
            out.mux(packet)
    assert unseen(path) == 0.0
    (shown,) = frames_at(path, [0.0])
    assert read_number(shown.rgb(64, 128)) == 40


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_video_without_any_key_frame_is_a_sentence(tmp_path: Path, name: str) -> None:
    whole = make_video(tmp_path / f"whole.{name}", (plain(k, 32, 64) for k in range(110)), gop=GOP)
    _cut(whole, tmp_path / name, sound=False)
    with pytest.raises(SourceError, match=rf"^{name} holds no picture that can be decoded$"):
        list(frames_at(tmp_path / name, [0.0]))
