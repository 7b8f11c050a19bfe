"""Sound on its way into a clip: untouched where it may be, resampled without seams where it must be."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from dataio.ingest.encode import EncodeOptions
from dataio.ingest.errors import SourceError
from dataio.ingest.media.sound import open_track, window
from tests.clips import clips_of
from tests.media import make_sound, make_video, noise, numbered

RATE = 96_000
SECONDS = 4.3


def _windows(path: Path, seconds: float, total: float = 4.0, rate: int = RATE) -> np.ndarray:
    """`total` seconds of a track, cut into windows of `seconds` and joined again: (samples, channels) int16."""
    track = open_track(path, rate)
    try:
        count = round(seconds * rate)
        return np.concatenate([window(track, at, count, rate) for at in range(0, round(total * rate), count)])
    finally:
        track.close()


def _whole(path: Path, target: int = RATE) -> np.ndarray:
    """The whole file resampled at once: (samples, channels) int16."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    how = torchaudio.transforms.Resample(rate, target, resampling_method="sinc_interp_kaiser", lowpass_filter_width=32)
    out = how(torch.from_numpy(np.ascontiguousarray(sound.T))).numpy().T
    return np.clip(np.rint(out * 32768), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_16_bit_pcm_at_the_target_rate_passes_untouched(tmp_path: Path, suffix: str) -> None:
    sound = np.random.default_rng(1).integers(-32768, 32768, (round(SECONDS * RATE), 2), np.int16)  # every value there is
    make_video(tmp_path / "a.mp4", (numbered(k, 32, 64) for k in range(43)), fps=10)
    make_sound(tmp_path / f"a{suffix}", sound)
    clips = clips_of(tmp_path, EncodeOptions(size=(16, 32)))
    assert np.array_equal(np.concatenate([clip.pcm["front"] for clip in clips]), sound[: 4 * RATE])


SOURCES = [
    ("a.wav", 44_100, "PCM_16"),
    ("a.flac", 48_000, "PCM_24"),
    ("a.wav", 48_000, "FLOAT"),
    ("a.wav", 192_000, "PCM_32"),
    ("a.ogg", 44_100, None),
    ("a.wav", 8_000, "PCM_U8"),
]


@pytest.mark.parametrize(("name", "rate", "subtype"), SOURCES)
def test_windows_join_to_the_whole_file_resampled_at_once(tmp_path: Path, name: str, rate: int, subtype: str | None) -> None:
    path = make_sound(tmp_path / name, noise(SECONDS, rate), rate, subtype)
    whole = _whole(path)[: 4 * RATE].astype(int)
    assert np.abs(whole).max() > 5000
    for seconds in (2.0, 0.5):
        assert np.abs(_windows(path, seconds) - whole).max() <= 1  # one step of 65536, where rounding tips


def test_a_file_resampled_downwards_joins_without_a_seam(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.wav", noise(SECONDS, RATE), RATE)
    whole = _whole(path, 22_050)[: 4 * 22_050].astype(int)
    assert np.abs(_windows(path, 1.0, rate=22_050) - whole).max() <= 1


@pytest.mark.parametrize("rate", [44_100, 48_000, 88_200])
def test_a_tone_stays_a_tone(tmp_path: Path, rate: int) -> None:
    time, target = np.arange(round(SECONDS * rate)) / rate, np.arange(4 * RATE) / RATE
    path = make_sound(tmp_path / "a.wav", np.stack([0.5 * np.sin(2 * np.pi * f * time) for f in (1000, 7000)], 1), rate, "FLOAT")
    expected = np.stack([0.5 * np.sin(2 * np.pi * f * target) for f in (1000, 7000)], 1)
    error = (_windows(path, 2.0) / 32768 - expected)[RATE // 100 :]
    assert np.abs(error).max() < 1e-3  # −54 dB of the tone, at every sample and every seam


@pytest.mark.parametrize(("subtype", "step"), [("PCM_24", 1 / 256), ("FLOAT", 1 / 3)])
def test_finer_samples_are_rounded_to_16_bits(tmp_path: Path, subtype: str, step: float) -> None:
    levels = np.arange(-2000, 2000) * step
    path = make_sound(tmp_path / "a.wav", np.stack([levels, -levels], 1) / 32768, RATE, subtype)
    got = _windows(path, 4000 / RATE, 4000 / RATE).astype(float)
    assert np.abs(got[:, 0] - levels).max() <= 0.5 + 1e-3
    assert got.any()


def test_too_loud_a_float_is_clipped_and_does_not_wrap(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.wav", np.array([[1.0, -1.0], [1.5, -1.5], [300.0, -300.0]]), RATE, "FLOAT")
    assert _windows(path, 3 / RATE, 3 / RATE).tolist() == [[32767, -32768]] * 3


def test_before_and_after_the_track_there_is_silence(tmp_path: Path) -> None:
    track = open_track(make_sound(tmp_path / "a.wav", np.full((10, 2), 7, np.int16)), RATE)
    assert window(track, -3, 20, RATE)[:, 0].tolist() == [0] * 3 + [7] * 10 + [0] * 7
    assert not window(track, 500, 4, RATE).any()
    track.close()


def _decoded(path: Path) -> np.ndarray:
    """The sound inside a video, decoded from front to back without a look at the clock: (samples, 2) float."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1).T


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "aac"), ("a.mp4", "aac"), ("a.webm", "libopus")])
def test_rounded_time_stamps_tear_no_holes_into_the_sound(tmp_path: Path, name: str, codec: str) -> None:
    video = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = make_video(tmp_path / name, [numbered(0, 32, 64)] * 5, fps=1, codec=video, sound=noise(5, 48_000), sound_codec=codec)
    whole = np.clip(np.rint(_decoded(path) * 32768), -32768, 32767)[: 4 * 48_000]
    assert np.array_equal(_windows(path, 0.5, rate=48_000), whole)


def test_a_track_inside_a_video_can_be_read_twice_at_the_same_place(tmp_path: Path) -> None:
    track = open_track(make_video(tmp_path / "a.mp4", [numbered(0, 32, 64)] * 5, fps=1, sound=noise(5, 48_000)), RATE)
    for start in (0, 96_000, 192_000):
        assert np.array_equal(window(track, start, 96_000, 96_000), window(track, start, 96_000, 96_000))
    track.close()


def test_a_real_hole_in_a_track_stays_silent_and_shifts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=1), container.add_stream("pcm_s16le", rate=48_000, layout="stereo")
        video.height, video.width, video.pix_fmt = 32, 64, "yuv420p"
        for _ in range(4):
            container.mux(video.encode(av.VideoFrame.from_ndarray(numbered(0, 32, 64), format="rgb24")))
        container.mux(video.encode(None))
        for at in (*range(0, 48_000, 480), *range(96_000, 192_000, 480)):  # nothing in the second second
            frame = av.AudioFrame.from_ndarray(np.full((1, 960), 1000, np.int16), "s16", "stereo")
            frame.sample_rate, frame.pts = 48_000, at
            container.mux(audio.encode(frame))
    level = _windows(path, 0.5, rate=48_000)[:, 0].reshape(-1, 4800)
    assert [set(part.tolist()) for part in level] == [{1000}] * 10 + [{0}] * 10 + [{1000}] * 20


@pytest.mark.parametrize("suffix", [".flac", ".mkv"])
def test_a_sound_that_breaks_off_is_an_error_and_not_silence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".flac":
        make_sound(path, noise(SECONDS))
    else:
        make_video(path, [numbered(0, 32, 64)] * 5, fps=1, sound=noise(5, 48_000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    track = open_track(path, RATE)
    with pytest.raises(SourceError, match=rf"a{suffix} breaks off at \d"):
        [window(track, at, RATE, RATE) for at in range(0, 4 * RATE, RATE)]
    track.close()


def test_resampling_does_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.wav", noise(SECONDS, 44_100), 44_100)
    threads = torch.get_num_threads()
    got = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            got.append(_windows(path, 2.0))
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(got[0], got[1])
    assert np.array_equal(got[0], got[2])


@pytest.mark.parametrize(
    ("rate", "fits"), [(96_000, True), (95_904, True), (11_025, True), (95_999, False), (44_117, False), (1, True)]
)
def test_a_rate_that_would_fill_the_memory_is_refused(tmp_path: Path, rate: int, fits: bool) -> None:
    path = make_sound(tmp_path / "a.wav", noise(1.0, 8000), rate)
    if fits:
        open_track(path, RATE).close()
    else:
        with pytest.raises(SourceError, match=rf"^a\.wav has an odd sample rate, {rate} Hz, which cannot be brought to 96000 Hz$"):
            open_track(path, RATE)
