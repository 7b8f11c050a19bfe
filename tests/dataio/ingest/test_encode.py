"""One recording into clips: what is stored, what is dropped, what is refused, and in how much memory."""

import io
import itertools
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataio.format import index
from dataio.ingest.encode import EncodeOptions, encode
from dataio.ingest.errors import SourceError
from tests.clips import clips_of, recording_in
from tests.media import make_sound, make_video, noise, numbered

SMALL = EncodeOptions(size=(16, 32), rate=8000)


def _recording(folder: Path, video: float = 4.3, sound: float = 4.3, **how: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    make_video(folder / "a.mp4", (numbered(k % 256, 32, 64) for k in range(round(video * 10))), fps=10, **how)
    make_sound(folder / "a.wav", noise(sound, 8000), 8000)
    return folder


def test_the_json_says_where_when_and_how_loud(tmp_path: Path) -> None:
    clips = clips_of(_recording(tmp_path / "raw"), SMALL)
    assert [clip.json["start"] for clip in clips] == [0.0, 2.0]
    for clip in clips:
        facts = dict(clip.json)
        level = np.sqrt(np.mean((clip.pcm["front"] / 32768.0) ** 2, 0))
        assert facts.pop("rms") == pytest.approx({"front.L": level[0], "front.R": level[1]}, rel=1e-9)
        assert facts.pop("frame_times") == pytest.approx([facts["start"] + int(2.5 * i) / 10 for i in range(8)])
        assert facts == {
            "recording": "a", "source": "a.mp4", "start": facts["start"], "seconds": 2.0, "sound_rate": 8000, "mono": False
        }  # fmt: skip


def test_members_are_what_their_facts_say(tmp_path: Path) -> None:
    spool = io.BytesIO()
    encoded = encode(recording_in(_recording(tmp_path)), EncodeOptions(size=(24, 40), rate=8000, fps=2), tmp_path, spool)
    assert [clip.key for clip in encoded.clips] == ["a-000000", "a-000001"]
    for clip in encoded.clips:
        assert [m.extension for m in clip.members] == ["f000.jpg", "f001.jpg", "f002.jpg", "f003.jpg", "front.wav", "json"]
        for member in clip.members:
            data = spool.getvalue()[member.offset : member.offset + member.length]
            assert index.crc32c(data) == member.crc
            if member.extension.endswith(".jpg"):
                assert Image.open(io.BytesIO(data)).size == (member.facts.width, member.facts.height) == (40, 24)
            if member.extension.endswith(".wav"):
                facts = index.Facts(rate=8000, channels=2, samples=16_000, data=44)
                assert (member.facts, member.length) == (facts, 44 + 16_000 * 4)
                assert member.blocks == index.block_checksums(data)
                assert data[36:40] == b"data"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    spools = [io.BytesIO(), io.BytesIO()]
    for name, spool in zip(("here", "and/there"), spools, strict=True):
        folder = _recording(tmp_path / name)
        encode(recording_in(folder), SMALL, folder, spool)
    assert spools[0].getvalue() == spools[1].getvalue()
    assert str(tmp_path).encode() not in spools[0].getvalue()


@pytest.mark.parametrize(
    ("video", "sound", "clips", "tail"),
    [
        (6.0, 6.0, 3, 0.0),
        (6.0, 9.0, 3, 0.0),  # more sound than picture
        (6.0, 5.9, 2, 2.0),  # the last clip would lack a tenth of its sound
        (6.0, 4.1, 2, 2.0),
        (6.0, 4.0, 2, 2.0),  # shorter by a whole clip, but by no more
        (5.9, 6.0, 2, 1.9),
    ],
)
def test_a_shorter_tail_is_dropped_and_counted(tmp_path: Path, video: float, sound: float, clips: int, tail: float) -> None:
    encoded = encode(recording_in(_recording(tmp_path, video, sound)), SMALL, tmp_path, io.BytesIO())
    assert len(encoded.clips) == clips
    assert encoded.tail == pytest.approx(tail, abs=1e-3)


@pytest.mark.parametrize(
    ("video", "sound", "sentence"),
    [
        (6.0, 3.9, "a: the sound (a.wav, 3.90 s) is shorter than the video (6.00 s) by more than a clip"),
        (1.9, 6.0, "a is shorter than one clip of 2 s"),
        (1.9, 1.9, "a is shorter than one clip of 2 s"),
    ],
)
def test_a_recording_that_makes_no_honest_clip_is_refused(tmp_path: Path, video: float, sound: float, sentence: str) -> None:
    with pytest.raises(SourceError, match=f"^{re.escape(sentence)}$"):
        clips_of(_recording(tmp_path, video, sound), SMALL)


def test_sound_inside_a_matroska_file_that_ends_early_is_refused_too(tmp_path: Path) -> None:
    pictures = (numbered(k, 32, 64) for k in range(60))
    make_video(tmp_path / "a.mkv", pictures, fps=10, sound=noise(2.5, 48_000))  # its head gives one length for both
    with pytest.raises(SourceError, match="is shorter than the video"):
        clips_of(tmp_path, SMALL)


def test_a_video_that_breaks_off_is_refused(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mkv", (numbered(k, 32, 64) for k in range(200)), fps=10)
    make_sound(tmp_path / "a.wav", noise(20.0, 8000), 8000)
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 2])  # its head is whole and promises twenty seconds
    with pytest.raises(SourceError, match=r"^a\.mkv breaks off after [68] s of 20.00 s$"):
        clips_of(tmp_path, SMALL)


def test_a_mono_track_goes_to_both_ears_and_the_json_says_so(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", (numbered(k, 32, 64) for k in range(22)), fps=10)
    make_sound(tmp_path / "a.wav", noise(2.2, 8000, 1), 8000)
    with pytest.raises(SourceError, match="is mono"):
        clips_of(tmp_path, SMALL)
    (clip,) = clips_of(tmp_path, SMALL, allow_mono=True)
    assert clip.json["mono"] is True
    assert np.array_equal(clip.pcm["front"][:, 0], clip.pcm["front"][:, 1])
    assert clip.pcm["front"].any()


def test_pairs_keep_their_ears(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", (numbered(k, 32, 64) for k in range(22)), fps=10)
    levels = {"front": (100, 200), "right": (300, 400), "back": (500, 600), "left": (700, 800)}
    for pair, (left, right) in levels.items():
        make_sound(tmp_path / f"a.{pair}.wav", np.tile(np.array([left, right], np.int16), (17_600, 1)), 8000)
    (clip,) = clips_of(tmp_path, SMALL)
    assert {pair: tuple(pcm[0].tolist()) for pair, pcm in clip.pcm.items()} == levels
    assert all((pcm == pcm[0]).all() for pcm in clip.pcm.values())
    ears = {f"{pair}.{ear}": level / 32768 for pair, two in levels.items() for ear, level in zip("LR", two, strict=True)}
    assert clip.json["rms"] == pytest.approx(ears)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seconds": 0.0}, "clip seconds 0.0 must be positive"),
        ({"seconds": -2.0}, "clip seconds -2.0 must be positive"),
        ({"seconds": float("nan")}, "clip seconds nan must be"),
        ({"seconds": 1 / 7}, "whole number of samples at 96000 Hz"),
        ({"fps": 0.0}, "fps 0 gives no whole number of frames"),
        ({"fps": 0.3}, "fps 0.3 gives no whole number of frames"),
        ({"fps": float("inf")}, "fps inf gives no whole number"),
        ({"size": (0, 512)}, "size 0x512 is outside"),
        ({"size": (256, 100_000)}, "size 256x100000 is outside"),
        ({"rate": 0}, "rate 0 is outside 8000"),
        ({"rate": -96_000}, "rate -96000 is outside 8000"),
        ({"quality": 101}, "quality 101 is outside 1 … 100"),
    ],
)
def test_options_that_make_no_clip_are_refused_by_name(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EncodeOptions(**options)


class _Nowhere(io.RawIOBase):
    """A spool that keeps nothing, so that only the encoder's own memory is measured."""

    def __init__(self) -> None:
        self._length = 0

    def tell(self) -> int:
        return self._length

    def write(self, data: bytes) -> int:
        self._length += len(data)
        return len(data)


@pytest.mark.parametrize("inside", [False, True], ids=["sound beside", "sound inside"])
def test_memory_does_not_grow_with_the_recording(tmp_path: Path, inside: bool) -> None:
    peaks = []
    for seconds in (6, 24):
        folder = tmp_path / str(seconds)
        folder.mkdir()
        track = np.tile(noise(1.0, 48_000), (seconds + 1, 1))
        pictures = itertools.repeat(numbered(5, 32, 64), seconds * 4)
        make_video(folder / "a.mkv", pictures, fps=4, sound=track if inside else None, sound_codec="pcm_s16le")
        if not inside:
            make_sound(folder / "a.wav", track, 48_000)
        recording = recording_in(folder)
        tracemalloc.start()
        try:
            assert len(encode(recording, EncodeOptions(size=(16, 32), rate=48_000), folder, _Nowhere()).clips) == seconds // 2
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
