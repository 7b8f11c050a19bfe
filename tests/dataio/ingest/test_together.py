"""Sound and picture stay together: flashes and clicks at known times meet in every clip, however the file is made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dataio.ingest.encode import EncodeOptions
from tests.clips import clips_of
from tests.media import clicks, make_sound, make_video, noise, numbered, plain, read_number

RATE = 96_000
SECONDS = 6.2
STORED = EncodeOptions(fps=30, size=(16, 32))
CONSTANT = [k / 30 for k in range(186)]
VARIABLE = [round(t * 90_000) / 90_000 for t in np.cumsum([0, *np.random.default_rng(3).uniform(0.02, 0.06, 152)]).tolist()]

MADE = {
    "constant rate": ("a.mp4", CONSTANT, {}),
    "long groups with B-frames": ("a.mp4", CONSTANT, {"b_frames": 2, "gop": 90}),
    "every frame by itself": ("a.mov", CONSTANT, {"codec": "mjpeg"}),
    "starts late": ("a.mp4", CONSTANT, {"start": 1.25}),
    "starts late in Matroska": ("a.mkv", CONSTANT, {"start": 3.7}),
    "variable rate": ("a.mp4", VARIABLE, {}),
    "variable rate that starts late": ("a.mkv", VARIABLE, {"start": 0.5}),
}


def _flashes(times: Sequence[float]) -> list[int]:
    """Frames that flash: the first, some within clips, and those around both clip boundaries."""
    near = [min(range(len(times)), key=lambda k: abs(times[k] - wanted)) for wanted in (0.0, 0.7, 1.97, 2.03, 3.3, 3.99, 5.1, 5.9)]
    return sorted(set(near))


@pytest.mark.parametrize("made", MADE)
def test_flash_and_click_meet_in_every_clip(tmp_path: Path, made: str) -> None:
    name, times, how = MADE[made]
    flashes = _flashes(times)
    make_video(tmp_path / name, (plain(250 if k in flashes else 20) for k in range(len(times))), times=times, **how)
    make_sound(tmp_path / "a.wav", clicks(SECONDS, [times[k] for k in flashes]))
    clock = 0.001 if name.endswith(".mkv") else 1e-5  # Matroska's time stamps are whole milliseconds

    stored = clips_of(tmp_path, STORED)
    assert len(stored) == 3
    seen_flashes, heard = set(), []
    for clip in stored:
        start = clip.json["start"]
        heard += [round(start * RATE) + int(at) for at in np.flatnonzero(clip.pcm["front"][:, 0])]
        assert np.array_equal(clip.pcm["front"][:, 0], clip.pcm["front"][:, 1])
        for i, picture in enumerate(clip.frames):
            wanted = start + i * 2.0 / 60
            shown = max(k for k, time in enumerate(times) if time <= wanted + clock)  # the source frame on display
            assert clip.json["frame_times"][i] == pytest.approx(times[shown], abs=clock)
            assert (picture.mean() > 135) == (shown in flashes), f"frame {i} of the clip at {start} s"
            if shown in flashes:
                seen_flashes.add(shown)
                half = (times[shown + 1] - times[shown]) / 2
                assert min(abs(clip.json["frame_times"][i] - at / RATE) for at in [round(times[k] * RATE) for k in flashes]) <= half
    assert heard == [round(times[k] * RATE) for k in flashes]  # to the sample
    if times is CONSTANT:
        assert seen_flashes == set(flashes)


@pytest.mark.parametrize(("source", "stored"), [(30, 4), (24, 4), (30_000 / 1001, 8), (25, 10), (5, 8), (60, 30), (8, 1)])
def test_frame_i_is_the_source_frame_on_display_at_its_time(tmp_path: Path, source: float, stored: float) -> None:
    count = int(4.2 * source) + 1
    make_video(tmp_path / "a.mp4", (numbered(k) for k in range(count)), fps=source)
    make_sound(tmp_path / "a.wav", noise(4.3, 8000), 8000)
    clips = clips_of(tmp_path, EncodeOptions(fps=stored, size=(32, 64), rate=8000))
    assert len(clips) == 2
    for clip in clips:
        assert len(clip.frames) == 2 * stored
        for i, picture in enumerate(clip.frames):
            wanted = clip.json["start"] + i / stored
            shown = int(wanted * source + 1e-4)
            assert read_number(picture) == shown
            assert clip.json["frame_times"][i] == pytest.approx(shown / source, abs=2e-5)


def test_frames_with_a_variable_rate_are_those_on_display(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", (numbered(k) for k in range(len(VARIABLE))), times=VARIABLE)
    make_sound(tmp_path / "a.wav", noise(6.3, 8000), 8000)
    for clip in clips_of(tmp_path, EncodeOptions(fps=20, size=(32, 64), rate=8000)):
        for i, picture in enumerate(clip.frames):
            wanted = clip.json["start"] + i / 20
            assert read_number(picture) == max(k for k, time in enumerate(VARIABLE) if time <= wanted + 1e-5)


OWN = {
    "mp4": ("a.mp4", {}),
    "mp4 that starts late": ("a.mp4", {"start": 1.5}),
    "sound that starts before the picture": ("a.mp4", {"start": 1.0, "sound_start": 0.5}),
    "Matroska": ("a.mkv", {}),
    "Matroska that starts late": ("a.mkv", {"start": 3.0}),
    "opus": ("a.webm", {"codec": "libvpx-vp9", "sound_codec": "libopus"}),
}


@pytest.mark.parametrize("made", OWN)
def test_the_sound_inside_the_video_is_used_and_in_step_with_it(tmp_path: Path, made: str) -> None:
    name, how = OWN[made]
    times = [0.5, 1.9, 2.1, 3.0]
    sound = clicks(5.5, [t + how.get("start", 0) - how.get("sound_start", how.get("start", 0)) for t in times], 48_000, level=0.9)
    flashes = [round(t * 30) for t in times]
    pictures = (plain(250 if k in flashes else 20, 32, 64) for k in range(135))
    make_video(tmp_path / name, pictures, sound=sound, **how)
    clips = clips_of(tmp_path, EncodeOptions(fps=30, size=(16, 32), rate=48_000))
    assert len(clips) == 2
    for clip in clips:
        start = clip.json["start"]
        lit = [t for t, picture in zip(clip.json["frame_times"], clip.frames, strict=True) if picture.mean() > 135]
        assert lit == pytest.approx([t for t in times if start <= t < start + 2], abs=0.001)
        level = np.abs(clip.pcm["front"].astype(int)).max(1)
        for time in lit:
            near = slice(max(0, round((time - start - 0.1) * 48_000)), round((time - start + 0.1) * 48_000))
            assert (near.start + level[near].argmax()) / 48_000 + start == pytest.approx(time, abs=0.003)
